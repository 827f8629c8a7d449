"""What stands before a network, as ONNX: from samples to what the network reads.

The arithmetic is that of ``features.extraction``, ``features.vad`` and ``features.network_input``. Two things differ
from the outside only. The Fourier transform is two products with matrices of cosines and sines, which ONNX Runtime
makes of a table of one period when it loads the graph: as small as the operator DFT in the file, and 18 times as fast.
(Power spectra do not change when a frame is moved in time. Moved so that zero lies in its middle, the even part of a
frame gives the real part of its spectrum and the odd part the imaginary one: half as much to multiply.) And sums over
windows are differences of cumulative sums in float64.
"""

import math

import numpy as np
from onnx import TensorProto

from xvkd.deployment.nodes import Nodes
from xvkd.features.audio import INT16_RANGE
from xvkd.features.extraction import FeatureConfig, FeatureExtractor
from xvkd.features.network_input import InputConfig
from xvkd.features.vad import VadConfig

EPSILON = float(np.finfo(np.float32).eps)
FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE


def front_end(nodes: Nodes, waveform: str, features: FeatureConfig, vad: VadConfig | None, reads: InputConfig) -> str:
    """Adds features, voice activity detection and normalisation.

    Args:
        nodes: of the graph.
        waveform: (1, samples), in [-1, 1].
        features: of the network.
        vad: marks the frames that are kept; None: all.
        reads: normalisation.

    Returns:
        (frames, coefficients), perhaps without any frame.
    """
    samples = nodes("Mul", nodes("Squeeze", waveform, [0]), float(INT16_RANGE))
    frames = _centred(nodes, _frames(nodes, samples, features))
    energy = _log(nodes, nodes("ReduceSumSquare", frames, [1], keepdims=1))
    found = _cepstra(nodes, frames, energy, features)
    normalised = _sliding_cmn(nodes, found, reads)
    if vad is None:
        return normalised
    # The VAD's C0: where the network reads filterbanks, that of the cepstra beside them.
    own = features.kind == "mfcc" and not features.use_energy
    voiced = _energy_vad(nodes, nodes("Slice", found, [0], [1], [1]) if own else energy, vad)
    return nodes("Compress", normalised, voiced, axis=0)


def minimum_samples(features: FeatureConfig) -> int:
    """Samples of the shortest signal of which there is a frame."""
    extractor = FeatureExtractor(features)
    return extractor.length if features.snip_edges else extractor.shift - extractor.shift // 2


def _frames(nodes: Nodes, samples: str, config: FeatureConfig) -> str:
    """(frames, length), as Kaldi cuts a signal (samples,); over its edges it is mirrored."""
    extractor = FeatureExtractor(config)
    length, shift = extractor.length, extractor.shift
    size = nodes("Squeeze", nodes("Shape", samples))
    if config.snip_edges:
        frames = nodes("Max", nodes("Div", nodes("Add", size, shift - length), shift), 0)
    else:
        frames = nodes("Div", nodes("Add", size, shift // 2), shift)
        before = (length - shift) // 2
        end = nodes("Max", size, nodes("Add", nodes("Mul", frames, shift), length - shift - before))
        samples = nodes(
            "Concat", _mirrored(nodes, samples, size, -before, 0), samples, _mirrored(nodes, samples, size, size, end),
            axis=0,
        )  # fmt: skip
    # Blocks that frames are made of: copying them is faster than copying samples.
    block = math.gcd(length, shift)
    used = nodes("Add", nodes("Mul", frames, shift), length - shift)
    blocks = nodes("Reshape", nodes("Slice", samples, [0], nodes("Unsqueeze", used, [0])), [-1, block])
    first = nodes("Mul", nodes("Range", 0, frames, 1), shift // block)
    rows = nodes("Add", nodes("Unsqueeze", first, [1]), np.arange(length // block)[None])
    return nodes("Reshape", nodes("Gather", blocks, rows, axis=0), [-1, length])


def _mirrored(nodes: Nodes, samples: str, size: str, first: str | int, end: str | int) -> str:
    """What lies outside of a signal, from the position ``first`` up to ``end``, if it is mirrored at its edges."""
    period = nodes("Mul", size, 2)
    place = nodes("Mod", nodes("Range", first, end, 1), period)
    back = nodes("Sub", nodes("Sub", period, 1), place)
    return nodes("Gather", samples, nodes("Min", place, back))


def _centred(nodes: Nodes, frames: str) -> str:
    return nodes("Sub", frames, nodes("ReduceMean", frames, [1], keepdims=1))


def _log(nodes: Nodes, energies: str) -> str:
    return nodes("Log", nodes("Max", energies, EPSILON))


def _cepstra(nodes: Nodes, frames: str, energy: str, config: FeatureConfig) -> str:
    """MFCC or log mel filterbank energies (frames, dim) of centred frames (frames, length)."""
    constants = FeatureExtractor(config).constants()
    before = nodes("Concat", nodes("Slice", frames, [0], [1], [1]), nodes("Slice", frames, [0], [-1], [1]), axis=1)
    emphasised = nodes("Sub", frames, nodes("Mul", before, float(constants["preemphasis"])))
    windowed = nodes("Mul", emphasised, constants["window"][None])
    # Bins that no filter reads are not computed.
    filters = constants["filters"]
    used = np.flatnonzero(filters.any(axis=1))
    first, end = int(used[0]), int(used[-1]) + 1
    power = _power_spectrum(nodes, windowed, len(constants["window"]), 2 * (len(filters) - 1), first, end)
    logs = _log(nodes, nodes("MatMul", power, filters[first:end]))
    if config.kind == "fbank":
        return logs
    cosines = constants["cosines"]
    if not config.use_energy:
        return nodes("MatMul", logs, cosines)
    return nodes("Concat", energy, nodes("MatMul", logs, cosines[:, 1:]), axis=1)


def _power_spectrum(nodes: Nodes, frames: str, length: int, size: int, first: int, end: int) -> str:
    """The bins from ``first`` up to ``end`` of frames' power spectra.

    Args:
        nodes: of the graph.
        frames: (frames, length).
        length: samples of a frame.
        size: of the transform, at least the length.
        first: bin.
        end: bin.
    """
    if length % 2:
        frames, length = nodes("Pad", frames, [0, 0, 0, 1]), length + 1
    half = length // 2
    left = nodes("Slice", frames, [half - 1], [-length - 1], [1], [-1])
    right = nodes("Slice", frames, [half], [length], [1])
    # Sample i of either half lies i + 1/2 from the middle: in half samples, an odd number.
    places = nodes("Unsqueeze", nodes("Range", 1, length, 2), [1])
    angles = nodes("Mul", places, nodes("Unsqueeze", nodes("Range", first, end, 1), [0]))
    period = 2 * size
    table = np.cos(2 * np.pi * np.arange(period) / period).astype(np.float32)
    parts = []
    for part, lag in (("Add", 0), ("Sub", period // 4)):
        wave = nodes("Gather", table, nodes("Mod", nodes("Sub", angles, lag), period))
        product = nodes("MatMul", nodes(part, right, left), wave)
        parts.append(nodes("Mul", product, product))
    return nodes("Add", *parts)


def _sliding_cmn(nodes: Nodes, features: str, config: InputConfig) -> str:
    """(frames, dim) as ``features.network_input.sliding_cmn``."""
    frames = nodes("Squeeze", nodes("Shape", features, end=1))
    time = nodes("Range", 0, frames, 1)
    window = config.cmn_window
    first = nodes("Max", nodes("Sub", time, window // 2 if config.center else window), 0)
    later = nodes("Max", nodes("Add", time, 1), config.min_cmn_window)
    end = nodes("Add", first, window) if config.center else later
    # At its end the signal stops the window, which reaches further back instead.
    beyond = nodes("Max", nodes("Sub", end, frames), 0)
    first, end = nodes("Max", nodes("Sub", first, beyond), 0), nodes("Sub", end, beyond)
    count = nodes("Unsqueeze", nodes("Cast", nodes("Sub", end, first), to=DOUBLE), [1])
    exact = nodes("Cast", features, to=DOUBLE)
    mean = nodes("Div", _window_sums(nodes, exact, first, end), count)
    normalised = nodes("Sub", exact, mean)
    if config.norm_vars:
        squares = nodes("Div", _window_sums(nodes, nodes("Mul", exact, exact), first, end), count)
        variance = nodes("Max", nodes("Sub", squares, nodes("Mul", mean, mean)), np.array(1e-10))
        # A frame alone has no variance, and becomes zeros.
        normalised = nodes("Div", normalised, nodes("Sqrt", variance))
    return nodes("Cast", normalised, to=FLOAT)


def _window_sums(nodes: Nodes, values: str, first: str, end: str) -> str:
    """The sums over rows [first, end) of values (rows, columns), float64."""
    total = nodes("Pad", nodes("CumSum", values, 0), [1, 0, 0, 0])
    return nodes("Sub", nodes("Gather", total, end, axis=0), nodes("Gather", total, first, axis=0))


def _energy_vad(nodes: Nodes, energy: str, config: VadConfig) -> str:
    """(frames,) bool, as ``features.vad.energy_vad``, of log energies (frames, 1)."""
    exact = nodes("Cast", energy, to=DOUBLE)
    mean = nodes("Mul", nodes("ReduceMean", exact, keepdims=0), np.array(config.vad_energy_mean_scale))
    threshold = nodes("Add", mean, np.array(config.vad_energy_threshold))
    above = nodes("Cast", nodes("Greater", exact, threshold), to=DOUBLE)
    frames = nodes("Squeeze", nodes("Shape", energy, end=1))
    time = nodes("Range", 0, frames, 1)
    first = nodes("Max", nodes("Sub", time, config.vad_frames_context), 0)
    end = nodes("Min", nodes("Add", time, config.vad_frames_context + 1), frames)
    votes = nodes("Squeeze", _window_sums(nodes, above, first, end), [1])
    asked = nodes("Cast", nodes("Sub", end, first), to=DOUBLE)
    return nodes("GreaterOrEqual", votes, nodes("Mul", asked, np.array(config.vad_proportion_threshold)))
