"""Kaldi's x-vector networks: the layers of an nnet3 network, as numbers.

Kaldi's recipes (``egs/sre16/v2``, ``egs/voxceleb/v2``) write a chain: frame-level layers, each an affine component
over spliced frames, ReLU and BatchNorm; statistics extraction and pooling; segment layers of the same three; and an
affine component with a log-softmax that classifies speakers, which is dropped.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xvkd.errors import UserError
from xvkd.kaldi import nnet3
from xvkd.kaldi.nnet3 import Component, Nnet3, Node, read_nnet3

LARGEST_INPUT = 100_000


@dataclass
class Layer:
    """An affine map of the layer below, at some frames around its own; then ReLU, then (x - mean) / deviation."""

    name: str  # of the affine component
    offsets: tuple[int, ...]  # frames
    weight: np.ndarray  # (out, in, offsets)
    bias: np.ndarray  # (out,)
    mean: np.ndarray | None = None  # (out,); None where the network ends with the affine map
    deviation: np.ndarray | None = None

    @property
    def width(self) -> int:
        """Values out."""
        return len(self.bias)


@dataclass
class KaldiXvector:
    """A network, without its classifier. Mean and standard deviation over time lie between its two lists."""

    input_dim: int
    frame_layers: list[Layer]
    segment_layers: list[Layer]
    variance_floor: float  # of the standard deviation
    pooled_frames: int  # over so many frames it is computed at most


def read_xvector(path: str | Path) -> KaldiXvector:
    """Reads a network.

    Args:
        path: ``final.raw``, or what ``nnet3-copy`` has made of it, for instance cut off at the embedding.

    Raises:
        UserError: the file is missing or damaged, or the network is no such chain; the message names the component.
    """
    chain = _Chain(read_nnet3(path), path)
    frames: list[Layer] = []
    while not frames or not chain.next_is(nnet3.EXTRACTION):
        frames.append(chain.layer(frames[-1].width if frames else chain.input_dim))
        chain.normalise(frames[-1])
    variance_floor, pooled_frames = chain.pooling()
    segments: list[Layer] = []
    while chain.links and not (segments and chain.classifier_is_next()):
        segments.append(chain.layer(segments[-1].width if segments else 2 * frames[-1].width))
        if chain.links:
            chain.normalise(segments[-1])
    if not segments:
        raise UserError(f"{path}: nothing stands on the statistics pooling, so that there is no embedding")
    return KaldiXvector(chain.input_dim, frames, segments, variance_floor, pooled_frames)


class _Chain:
    """The components from the input on, each of which reads the one before; taken off as they are understood."""

    def __init__(self, network: Nnet3, path: str | Path) -> None:
        self._path = path
        self._outputs = [node.name for node in network.nodes.values() if node.kind == "output-node"]
        inputs = [node for node in network.nodes.values() if node.kind == "input-node"]
        if len(inputs) != 1:
            names = ", ".join(node.name for node in inputs) or "none"
            raise UserError(f"{path}: x-vector networks have one input, the features (this one's: {names})")
        dim = inputs[0].fields.get("dim", "")
        if not (dim.isdecimal() and len(dim) < 9 and 1 <= int(dim) <= LARGEST_INPUT):
            raise UserError(f"{path}: the input has no possible dimension; write or copy the file again")
        self.input_dim = int(dim)
        readers: dict[str, list[Node]] = {}
        offsets: dict[str, tuple[int, ...]] = {}
        for node in network.nodes.values():
            if node.kind == "component-node":
                source, offsets[node.name] = _source(node, path)
                readers.setdefault(source, []).append(node)
        self.links: list[tuple[Component, tuple[int, ...]]] = []
        name = inputs[0].name
        while name in readers:
            node, *others = readers[name]
            if others:
                raise UserError(f"{path}: '{node.name}' and '{others[0].name}' both read '{name}': not a chain")
            name, component = node.name, network.components[node.fields["component"]]
            idle = component.kind == nnet3.DROPOUT and component.number("<DropoutProportion>") == 0
            if offsets[name] != (0,) or not (idle or component.kind in nnet3.IDENTITIES):
                self.links.append((component, offsets[name]))

    def next_is(self, kind: str) -> bool:
        """Whether a component of this kind is next."""
        return bool(self.links) and self.links[0][0].kind == kind

    def classifier_is_next(self) -> bool:
        """Whether the rest classifies speakers: an affine component, and a log-softmax or the output layer's name.

        Kaldi's output layer calls its component "output.affine"; a network that was cut off at the embedding ends
        with an affine component too.
        """
        rest = [component.kind for component, _ in self.links]
        named = any(self.links[0][0].name.startswith(f"{output}.") for output in self._outputs)
        return rest[0] in nnet3.AFFINE and (rest[1:] == [nnet3.LOG_SOFTMAX] or (named and len(rest) == 1))

    def _take(self, *kinds: str) -> tuple[Component, tuple[int, ...]]:
        """The next component, which must be of one of these kinds, and the frames that it reads."""
        if not self.links:
            raise UserError(f"{self._path}: the network ends where an x-vector network has a {kinds[0]}")
        component, offsets = self.links.pop(0)
        if component.kind not in kinds:
            raise component.error(f"stands where x-vector networks have a {kinds[0]}")
        if offsets != (0,) and kinds != nnet3.AFFINE:
            raise component.error(f"reads the frames {offsets}; in x-vector networks only affine components splice")
        return component, offsets

    def layer(self, below: int) -> Layer:
        """Takes the affine component of a layer on ``below`` values a frame."""
        component, offsets = self._take(*nnet3.AFFINE)
        if component.kind == nnet3.LINEAR:
            weight = component.array("<Params>", 2)
            bias = np.zeros(len(weight))
        else:
            weight, bias = component.array("<LinearParams>", 2), component.array("<BiasParams>", 1)
        if not len(bias) or weight.shape != (len(bias), below * len(offsets)):
            raise component.error(
                f"has {weight.shape[0]} x {weight.shape[1]} weights and {len(bias)} offsets, but reads {below} values "
                f"of {len(offsets)} frames"
            )
        # Kaldi appends frame after frame.
        weight = weight.reshape(len(bias), len(offsets), below).transpose(0, 2, 1)
        return Layer(component.name, offsets, weight, bias)

    def normalise(self, layer: Layer) -> None:
        """Takes a layer's ReLU and BatchNorm, as it is outside of training."""
        self._take(nnet3.RELU)
        component, _ = self._take(nnet3.BATCHNORM)
        dim, block = component.integer("<Dim>"), component.integer("<BlockDim>")
        mean, variance = component.array("<StatsMean>", 1), component.array("<StatsVar>", 1)
        if component.number("<Count>") <= 0:
            raise component.error("has no statistics: this network was never trained")
        if dim != layer.width or block < 1 or dim % block or not len(mean) == len(variance) == block:
            raise component.error(
                f"has dim {dim}, block-dim {block}, {len(mean)} means and {len(variance)} variances, but reads "
                f"{layer.width} values"
            )
        epsilon, scale = component.number("<Epsilon>"), component.number("<TargetRms>")
        if self.next_is(nnet3.DROPOUT):
            scale *= 1 - self._take(nnet3.DROPOUT)[0].number("<DropoutProportion>")  # as Kaldi's, in test mode
        if epsilon <= 0 or scale <= 0:
            raise component.error(f"has epsilon {epsilon} and scales by {scale}: both must be positive")
        layer.mean = np.tile(mean, dim // block)
        layer.deviation = np.tile(np.sqrt(np.maximum(variance, 0.0) + epsilon) / scale, dim // block)

    def pooling(self) -> tuple[float, int]:
        """Takes the statistics: of every frame, mean and standard deviation. Returns the floor and the window."""
        extraction, _ = self._take(nnet3.EXTRACTION)
        pooling, _ = self._take(nnet3.POOLING)
        # The misspelling is Kaldi's.
        for component, tag in ((extraction, "<IncludeVarinance>"), (pooling, "<OutputStddevs>")):
            if not component.flag(tag):
                raise component.error(f"gives no standard deviations ('{tag}' is false), as ours does")
        for component, tag, ours in (
            (extraction, "<InputPeriod>", 1), (extraction, "<OutputPeriod>", 1), (pooling, "<InputPeriod>", 1),
            (pooling, "<NumLogCountFeatures>", 0),
        ):
            if component.integer(tag) != ours:
                raise component.error(f"has {component.integer(tag)} in '{tag}', ours has {ours}")
        return pooling.number("<VarianceFloor>"), pooling.integer("<RightContext>") + 1


def _source(node: Node, path: str | Path) -> tuple[str, tuple[int, ...]]:
    """The node that a node reads, and at which frames around its own."""
    text = node.fields.get("input", "")
    try:
        descriptor = nnet3.parse_descriptor(text)
        parts = descriptor[1:] if descriptor[0] == "Append" else [descriptor]
        sources, offsets = zip(*map(_part, parts), strict=True)
    except ValueError:
        sources, offsets = (), ()
    if len(set(sources)) != 1:
        raise UserError(f"{path}: '{node.name}' reads '{text[:80]}', where x-vector networks read one node")
    return sources[0], offsets


def _part(part: nnet3.Descriptor) -> tuple[str, int]:
    """Node and frame of ``x``, of ``Offset(x, -2)``, or of ``Round(x, 1)``, which is x."""
    if isinstance(part, str):
        return part, 0
    if len(part) == 3 and all(isinstance(word, str) for word in part):
        function, name, number = part
        if function == "Offset":
            return name, int(number)
        if (function, number) == ("Round", "1"):
            return name, 0
    raise ValueError(part)
