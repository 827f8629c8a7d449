"""Kaldi's nnet3 networks, as ``nnet3-init``, ``nnet3-copy`` and the training write them ("raw"), binary or text.

A file is ``<Nnet3>``, lines that say which node reads which, an empty line, and the components by name. A
component is its type, then tags with values: parameters, statistics and the state of the training, of which
every version of Kaldi writes some more. All of them are kept as they are found; who needs a value asks for it.
Only components that x-vector recipes have are read.
"""

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xvkd.errors import UserError
from xvkd.kaldi.objects import Cursor, open_object, read_binary, read_text

LINEAR = "LinearComponent"
AFFINE = ("NaturalGradientAffineComponent", "AffineComponent", "FixedAffineComponent", LINEAR)
RELU, BATCHNORM = "RectifiedLinearComponent", "BatchNormComponent"
EXTRACTION, POOLING = "StatisticsExtractionComponent", "StatisticsPoolingComponent"
DROPOUT = "DropoutComponent"
LOG_SOFTMAX = "LogSoftmaxComponent"
# They hand on what they get, when the network is not being trained.
IDENTITIES = ("NoOpComponent", "GeneralDropoutComponent", "SpecAugmentTimeMaskComponent")
KINDS = (*AFFINE, RELU, BATCHNORM, EXTRACTION, POOLING, DROPOUT, LOG_SOFTMAX, *IDENTITIES)

NODES = ("input-node", "component-node", "dim-range-node", "output-node")
LONGEST_HEAD = 1 << 20
LONGEST_WORD = 256
MOST_VALUES = 4

Value = bytes | str | bool | np.ndarray
Descriptor = str | tuple  # a name or number, or a function's name and its arguments


@dataclass
class Node:
    """A line of the network's head: ``component-node name=... component=... input=...``."""

    kind: str
    name: str
    fields: dict[str, str]


@dataclass
class Component:
    """A component and its values, by tag. A number is kept as found: the file does not say if it is whole."""

    name: str
    kind: str
    values: dict[str, list[Value]]
    where: str  # the file, for messages

    def error(self, what: str) -> UserError:
        """The exception for a component that is not as it must be."""
        return UserError(f"{self.where}: component '{self.name}' ({self.kind}) {what}")

    def _value(self, tag: str) -> Value:
        values = self.values.get(tag, [])
        if len(values) != 1:
            raise self.error(f"has no value '{tag}'" if not values else f"has {len(values)} values '{tag}'")
        return values[0]

    def integer(self, tag: str) -> int:
        """A 32-bit integer."""
        value = self._value(tag)
        if isinstance(value, bytes) and len(value) == 4:
            return struct.unpack("<i", value)[0]
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,10}", value):
            return int(value)
        raise self.error(f"has no whole number in '{tag}'")

    def number(self, tag: str) -> float:
        """A finite floating point number, single or double."""
        value = self._value(tag)
        try:
            if isinstance(value, bytes):
                number = struct.unpack("<f" if len(value) == 4 else "<d", value)[0]
            else:
                number = float(value) if isinstance(value, str) else math.nan
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.error(f"has no finite number in '{tag}'")
        return number

    def flag(self, tag: str) -> bool:
        """A value that is true or false."""
        value = self._value(tag)
        if not isinstance(value, bool):
            raise self.error(f"has neither true nor false in '{tag}'")
        return value

    def array(self, tag: str, dimensions: int) -> np.ndarray:
        """A vector (1 dimension) or matrix (2), float64, of finite numbers."""
        value = self._value(tag)
        if not isinstance(value, np.ndarray) or value.ndim != dimensions:
            raise self.error(f"has no {('vector', 'matrix')[dimensions - 1]} in '{tag}'")
        if not np.isfinite(value).all():
            raise self.error(f"has infinite or undefined values in '{tag}'")
        return value.astype(np.float64)


@dataclass
class Nnet3:
    """A network: its nodes and its components, each by name and in the file's order."""

    nodes: dict[str, Node]
    components: dict[str, Component]


def read_nnet3(path: str | Path) -> Nnet3:
    """Reads a network.

    Args:
        path: the file.

    Raises:
        UserError: the file is missing, damaged, no nnet3 network, or has a component of another kind.
    """
    with open_object(path) as cursor:
        binary = cursor.peek(2) == b"\0B"
        if binary:
            cursor.offset += 2
        word = _word(cursor)
        if word != "<Nnet3>":
            hint = "; of an acoustic model, nnet3-am-copy --raw makes one" if word == "<TransitionModel>" else ""
            raise UserError(f"{path}: not an nnet3 network of Kaldi's (it begins with '{word}'){hint}")
        nodes = _read_nodes(cursor)
        components: dict[str, Component] = {}
        _values(cursor, binary, 1)  # how many there are; </Nnet3> tells where they end
        while (word := _word(cursor)) == "<ComponentName>":
            component = _read_component(cursor, binary, str(path))
            if component.name in components:
                raise component.error("is there twice")
            components[component.name] = component
        if word != "</Nnet3>":
            raise cursor.error(f"damaged: a component is expected, not '{word}'")
    for node in nodes.values():
        if node.kind == "component-node" and node.fields.get("component") not in components:
            raise cursor.error(f"node '{node.name}' has a component that is not there")
    return Nnet3(nodes, components)


def _read_nodes(cursor: Cursor) -> dict[str, Node]:
    """Reads the lines up to and with the tag ``<NumComponents>``."""
    end = b"<NumComponents> "
    head, found, _ = cursor.peek(LONGEST_HEAD).partition(end)
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        found = b""
    if not found:
        raise cursor.error("damaged, or not an nnet3 network of Kaldi's")
    nodes: dict[str, Node] = {}
    for line in filter(str.strip, lines):
        # A value ends where the next key begins: descriptors have blanks in them.
        kind, *rest = re.split(r"\s([\w-]+)=", line.strip())
        fields = {key: value.strip() for key, value in zip(rest[::2], rest[1::2], strict=True)}
        name = fields.get("name", "")
        if kind not in NODES or not name or name in nodes:
            raise cursor.error(f"not a line of a network: '{line[:80]}'")
        nodes[name] = Node(kind, name, fields)
    cursor.offset += len(head) + len(end)
    return nodes


def _read_component(cursor: Cursor, binary: bool, where: str) -> Component:
    name, tag = _word(cursor), _word(cursor)
    component = Component(name, tag.strip("<>"), {}, where)
    if component.kind not in KINDS:
        raise component.error("is of a kind that neither the x-vector nor the E-TDNN has")
    while (tag := _word(cursor)) != f"</{component.kind}>":
        if not tag.startswith("<"):
            raise cursor.error(f"component '{name}': a tag is expected, not '{tag}'")
        component.values[tag] = _values(cursor, binary, MOST_VALUES)
    return component


def _word(cursor: Cursor) -> str:
    """Reads a tag or a name, and the blank behind it."""
    cursor.skip_space()
    head = cursor.peek(LONGEST_WORD)
    word = re.match(rb"[!-~]+", head)
    if not word:
        raise cursor.error("damaged, or not an nnet3 network of Kaldi's" if head else "truncated")
    cursor.offset += len(word[0])
    if cursor.peek(1) in (b" ", b"\n"):
        cursor.offset += 1
    return word[0].decode("ascii")


def _values(cursor: Cursor, binary: bool, most: int) -> list[Value]:
    """Reads what stands between a tag and the next."""
    values: list[Value] = []
    while True:
        if not binary:
            cursor.skip_space()
        head = cursor.peek(2)
        if head.startswith(b"<"):
            return values
        if not head or len(values) == most:
            raise cursor.error("damaged: a tag is expected here" if head else "truncated")
        values.append(_binary_value(cursor, head) if binary else _text_value(cursor, head))


def _binary_value(cursor: Cursor, head: bytes) -> Value:
    if head in (b"FV", b"FM", b"DV", b"DM"):
        return read_binary(cursor)
    if head[0] in (4, 8):  # the size of the number that follows
        return bytes(cursor.read(1 + head[0])[1:])
    if head[:1] in (b"T", b"F"):
        cursor.offset += 1
        return head[:1] == b"T"
    raise cursor.error("damaged: a value is expected here")


def _text_value(cursor: Cursor, head: bytes) -> Value:
    if head.startswith(b"["):
        return read_text(cursor)
    word = _word(cursor)
    return word == "T" if word in ("T", "F") else word


def parse_descriptor(text: str) -> Descriptor:
    """Parses what a node reads.

    Args:
        text: for instance ``Append(Offset(input, -2), input)``.

    Returns:
        Names and numbers as they are, functions as tuples: ``("Append", ("Offset", "input", "-2"), "input")``.

    Raises:
        ValueError: the text is no descriptor.
    """
    open_calls: list[list[Descriptor]] = [[]]
    for token in re.findall(r"[(),]|[^\s(),]+", text):
        if token == "(":
            if not open_calls[-1] or not isinstance(open_calls[-1][-1], str):
                raise ValueError(text)
            open_calls.append([open_calls[-1].pop()])
        elif token == ")":
            call = tuple(open_calls.pop())
            if not open_calls:
                raise ValueError(text)
            open_calls[-1].append(call)
        elif token != ",":
            open_calls[-1].append(token)
    if len(open_calls) != 1 or len(open_calls[0]) != 1:
        raise ValueError(text)
    return open_calls[0][0]
