"""Networks as Kaldi's x-vector recipes write them, of any size, and their files, binary and text."""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from xvkd.kaldi.nnet3 import Component, Nnet3, Node

TDNN = ((-2, -1, 0, 1, 2), (-2, 0, 2), (-3, 0, 3), (0,), (0,))
ETDNN = ((-2, -1, 0, 1, 2), (0,), (-2, 0, 2), (0,), (-3, 0, 3), (0,), (-4, 0, 4), (0,), (0,), (0,))


class Builder:
    """Puts node after node, each on the one before, as Kaldi's xconfig lines become a network.

    Args:
        input_dim: features a frame.
        seed: of the weights.
    """

    def __init__(self, input_dim: int, seed: int = 0) -> None:
        self.network = Nnet3({"input": Node("input-node", "input", {"name": "input", "dim": str(input_dim)})}, {})
        self.random = np.random.default_rng(seed)
        self.last, self.dim = "input", input_dim

    def add(self, name: str, kind: str, reads: str | None = None, **values) -> None:
        """A component and its node, on the last one or on what ``reads`` says."""
        values = {f"<{tag}>": value if isinstance(value, list) else [value] for tag, value in values.items()}
        self.network.components[name] = Component(name, kind, values, "")
        fields = {"name": name, "component": name, "input": reads or self.last}
        self.network.nodes[name] = Node("component-node", name, fields)
        self.last = name

    def affine(self, name: str, dim: int, offsets: Sequence[int] = (0,)) -> None:
        """A NaturalGradientAffineComponent over spliced frames."""
        parts = [self.last if offset == 0 else f"Offset({self.last}, {offset})" for offset in offsets]
        reads = f"Append({', '.join(parts)})" if len(parts) > 1 else parts[0]
        columns = self.dim * len(offsets)
        weights = self.random.standard_normal((dim, columns)) / np.sqrt(columns)
        self.add(
            name, "NaturalGradientAffineComponent", reads, MaxChange=0.75, LearningRate=0.001,
            LinearParams=weights.astype(np.float32), BiasParams=self._vector(dim), RankIn=20, RankOut=80,
            UpdatePeriod=4, NumSamplesHistory=2000.0, Alpha=4.0,
        )
        self.dim = dim

    def relu(self, name: str) -> None:
        """A RectifiedLinearComponent, with statistics of the training as Kaldi keeps them."""
        self.add(
            name, "RectifiedLinearComponent", Dim=self.dim, ValueAvg=self._vector(self.dim), DerivAvg=self._vector(0),
            Count=np.float64(12.5), NumDimsSelfRepaired=np.float64(0), SelfRepairScale=1e-5,
        )

    def batchnorm(self, name: str, **changes) -> None:
        """A BatchNormComponent; ``changes`` are its values."""
        values = {
            "Dim": self.dim, "BlockDim": self.dim, "Epsilon": 0.001, "TargetRms": 1.0, "TestMode": False,
            "Count": np.float64(1000), "StatsMean": self._vector(self.dim),
            "StatsVar": self.random.uniform(0.2, 1.0, self.dim).astype(np.float32),
        }
        self.add(name, "BatchNormComponent", **{**values, **changes})

    def layer(self, name: str, dim: int, offsets: Sequence[int] = (0,)) -> None:
        """A relu-batchnorm-layer."""
        self.affine(f"{name}.affine", dim, offsets)
        self.relu(f"{name}.relu")
        self.batchnorm(f"{name}.batchnorm")

    def statistics(self, name: str = "stats") -> None:
        """A stats-layer: mean+stddev(0:1:1:10000)."""
        self.add(
            f"{name}-extraction-0-10000", "StatisticsExtractionComponent", InputDim=self.dim, InputPeriod=1,
            OutputPeriod=1, IncludeVarinance=True,
        )
        self.add(
            f"{name}-pooling-0-10000", "StatisticsPoolingComponent", InputDim=2 * self.dim + 1, InputPeriod=1,
            LeftContext=0, RightContext=10000, NumLogCountFeatures=0, OutputStddevs=True, VarianceFloor=1e-10,
        )
        self.last, self.dim = f"Round({self.last}, 1)", 2 * self.dim

    def output(self, speakers: int, log_softmax: bool = True) -> Nnet3:
        """An output-layer. Returns the network."""
        self.affine("output.affine", speakers)
        if log_softmax:
            self.add("output.log-softmax", "LogSoftmaxComponent", Dim=speakers, ValueAvg=self._vector(0))
        return self.end()

    def end(self) -> Nnet3:
        """An output-node on the last component. Returns the network."""
        fields = {"name": "output", "input": self.last, "objective": "linear"}
        self.network.nodes["output"] = Node("output-node", "output", fields)
        return self.network

    def _vector(self, size: int) -> np.ndarray:
        return self.random.uniform(-0.5, 0.5, size).astype(np.float32)


def builder(
    contexts: Sequence[Sequence[int]], widths: Sequence[int], segments: Sequence[int] = (5, 4), input_dim: int = 3,
) -> Builder:
    """A network of these layers that still lacks its output: tdnn1, tdnn2, ..., the segment layers included."""
    built = Builder(input_dim)
    for number, (offsets, width) in enumerate(zip(contexts, widths, strict=True), 1):
        built.layer(f"tdnn{number}", width, offsets)
    built.statistics()
    for number, width in enumerate(segments, len(widths) + 1):
        built.layer(f"tdnn{number}", width)
    return built


def small_tdnn() -> Nnet3:
    """A whole x-vector network of very few weights."""
    return builder(TDNN, (4, 4, 4, 4, 6)).output(7)


def small_etdnn() -> Nnet3:
    """A whole E-TDNN of very few weights and unequal widths."""
    return builder(ETDNN, (4, 5, 3, 6, 4, 5, 3, 4, 5, 7)).output(7)


def write(path: Path, network: Nnet3, binary: bool = True) -> Path:
    """Writes a network as ``nnet3-copy --binary=BINARY`` does; returns the file's name."""
    path.write_bytes(as_bytes(network, binary))
    return path


def as_bytes(network: Nnet3, binary: bool = True) -> bytes:
    """What ``write`` writes."""
    return b"".join(_parts(network, binary))


def _parts(network: Nnet3, binary: bool) -> Iterable[bytes]:
    yield b"\0B" if binary else b""
    yield b"<Nnet3> \n"
    for node in network.nodes.values():
        yield " ".join([node.kind, *(f"{key}={value}" for key, value in node.fields.items())]).encode() + b"\n"
    yield b"\n<NumComponents> " + _value(len(network.components), binary)
    for component in network.components.values():
        yield b"" if binary else b"\n"
        yield f"<ComponentName> {component.name} <{component.kind}> ".encode()
        for tag, values in component.values.items():
            yield f"{tag} ".encode()
            yield from (_value(value, binary) for value in values)
        yield f"</{component.kind}> ".encode()
    yield b"</Nnet3> "


def _value(value, binary: bool) -> bytes:
    if isinstance(value, np.ndarray):
        return _array(value) if binary else _text_array(value)
    if isinstance(value, bool):
        return (b"T" if value else b"F") + (b"" if binary else b" ")
    if isinstance(value, bytes):  # a number of a file that was read
        return struct.pack("b", len(value)) + value
    if not binary:
        return f"{value} ".encode()
    if isinstance(value, np.float64):
        return struct.pack("<bd", 8, value)
    return struct.pack("<bi" if isinstance(value, int) else "<bf", 4, value)


def _array(array: np.ndarray) -> bytes:
    sizes = b"".join(struct.pack("<bi", 4, size) for size in array.shape)
    return (b"FV " if array.ndim == 1 else b"FM ") + sizes + array.astype("<f4").tobytes()


def _text_array(array: np.ndarray) -> bytes:
    rows = [" ".join(f"{number:.9g}" for number in row) for row in np.atleast_2d(array)]
    text = f" {rows[0]} " if array.ndim == 1 else "".join(f"\n  {row} " for row in rows)
    return f" [{text}]\n".encode()
