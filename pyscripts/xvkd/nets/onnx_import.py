"""ONNX files as teachers: which tensors of a network are its levels, and how it takes its input, found by trying."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch

from xvkd.errors import UserError
from xvkd.nets.models import BuildRecord
from xvkd.nets.onnx_graph import Level, OnnxGraph
from xvkd.nets.onnx_network import OnnxConfig, OnnxNetwork, open_session, run_session
from xvkd.nets.record import ONNX

# An axis whose size differs between utterances of so many frames is time; the second is a prime, so that a network
# which takes multiples of some number alone is found out.
LENGTHS = (200, 331)
LAYOUTS = {"batch-frames-features": 1, "batch-features-frames": 2}  # and the axis of the frames
CPU = torch.device("cpu")


def parse_nodes(text: str) -> dict[str, str]:
    """Splits ``level=node,level=node``; a node's name may have commas and equals signs (but not both in one part).

    Raises:
        UserError: a part that is none, or a name that no level can have.
    """
    nodes: dict[str, str] = {}
    for part in re.split(",(?=[^,=]*=)", text):
        level, equals, node = part.partition("=")
        if not equals or not node:
            raise UserError(f"--levels '{text}': expected level=node,level=node, such as segment6=embs")
        # Levels are files, are joined by '+', and stand before ':' and a loss; these two words mean other things.
        if not re.fullmatch("[A-Za-z0-9_-]+", level) or level in ("all", "label"):
            raise UserError(f"--levels: '{level}' cannot be a level's name: letters, digits, _ and - can be in it")
        if level in nodes:
            raise UserError(f"--levels '{text}': the level '{level}' stands there twice")
        nodes[level] = node
    return nodes


def import_network(
    path: str | Path, nodes: Mapping[str, str], input_dim: int
) -> tuple[BuildRecord, OnnxNetwork, dict[str, Level]]:
    """Reads a network.

    Args:
        path: an ONNX file with one input, (batch, frames, features) or (batch, features, frames).
        nodes: level -> name of a node or tensor.
        input_dim: features a frame that it will be given.

    Returns:
        how to read what will be written, the network with the levels as its outputs, and how they are made.

    Raises:
        UserError: a damaged file, an unknown node, one that can be no level, or an input of another kind.
    """
    graph = OnnxGraph(path)
    tensors = {level: graph.find(node) for level, node in nodes.items()}
    layout, probed = _probe(graph, tensors.values(), input_dim)
    levels = {level: _level(graph, tensor, *probed[tensor]) for level, tensor in tensors.items()}
    sizes = {level: made.size for level, made in levels.items()}
    parameters = {level: graph.num_weights(tensor) for level, tensor in tensors.items()}
    model = graph.with_levels(levels)

    def network(batches: bool, min_frames: int) -> OnnxNetwork:
        config = OnnxConfig(layout, batches, min_frames)
        return OnnxNetwork(model, path, config, sizes, parameters, graph.num_weights())

    batches = graph.input_shape[0] is None and _takes_batches(network(True, 1), input_dim)
    min_frames = _min_frames(network(False, 1), input_dim)
    arch = vars(OnnxConfig(layout, batches, min_frames))
    return BuildRecord(ONNX, Path(path).name, arch, input_dim, 0), network(batches, min_frames), levels


def possible_levels(path: str | Path, input_dim: int) -> list[tuple[str, Level]]:
    """The operator behind every tensor that can be a level, and what the level would be, in the file's order."""
    graph = OnnxGraph(path)
    tensors = [tensor for tensor in graph.tensors if graph.input in graph.needed([tensor])]
    _, probed = _probe(graph, tensors, input_dim)
    found = []
    for tensor in tensors:
        try:
            found.append((graph.tensors[tensor], _level(graph, tensor, *probed[tensor])))
        except UserError:
            continue  # shapes, indices and the like
    return found


def _probe(graph: OnnxGraph, tensors: Iterable[str], input_dim: int) -> tuple[str, dict[str, list[np.ndarray]]]:
    """Computes tensors of two utterances of other lengths; returns the input's layout as well."""
    names = list(dict.fromkeys(tensors))
    layouts = _layouts(graph, input_dim)
    session = open_session(graph.with_outputs(names), graph.path, CPU)
    found, failed = {}, []
    for layout in layouts:
        try:
            runs = [run_session(session, graph.path, _noise(1, length, input_dim), layout, names) for length in LENGTHS]
            found[layout] = dict(zip(names, map(list, zip(*runs, strict=True)), strict=True))
        except UserError as error:
            failed.append(error)
    if len(found) > 1:
        raise UserError(
            f"{graph.path}: its input '{graph.input}' has no size that tells {input_dim} features from frames: export "
            "it with the features' size fixed"
        )
    if not found:
        raise failed[0]
    return found.popitem()


def _layouts(graph: OnnxGraph, input_dim: int) -> list[str]:
    """The layouts that the declared input can have."""
    shape = graph.input_shape
    sizes = {} if len(shape) != 3 else {name: (shape[axis], shape[3 - axis]) for name, axis in LAYOUTS.items()}
    what = f"{graph.path}: its input '{graph.input}' is " + " x ".join(str(size or "?") for size in shape)
    free = [name for name, (frames, dim) in sizes.items() if frames is None and dim in (None, input_dim)]
    fixed = [frames for frames, dim in sizes.values() if frames is not None and dim == input_dim]
    if not free and not fixed:
        raise UserError(
            f"{what}, expected batch x frames x {input_dim} or batch x {input_dim} x frames: configure the features "
            "that it was trained on"
        )
    if shape[0] not in (None, 1):
        raise UserError(f"{what}: it takes batches of {shape[0]} alone; export it with a free batch size")
    if not free:
        raise UserError(f"{what}: it takes utterances of {fixed[0]} frames alone; export it with a free length")
    return free


def _level(graph: OnnxGraph, tensor: str, short: np.ndarray, long: np.ndarray) -> Level:
    """What a tensor is as a level, by what it was of a short and of a long utterance."""
    what = f"{graph.path}: '{tensor}' can be no level: "
    if not isinstance(short, np.ndarray) or short.dtype.kind != "f":
        raise UserError(f"{what}it does not hold real numbers")
    axes = [axis for axis, (one, other) in enumerate(zip(short.shape, long.shape, strict=False)) if one != other]
    if len(axes) > 1 or short.ndim != long.ndim or not short.size:
        shapes = " and ".join(" x ".join(map(str, array.shape)) for array in (short, long))
        raise UserError(
            f"{what}it is {shapes} for utterances of {LENGTHS[0]} and {LENGTHS[1]} frames, and one axis can be time"
        )
    return Level(tensor, short.shape, axes[0] if axes else None, short.dtype == np.float32)


def _takes_batches(network: OnnxNetwork, input_dim: int) -> bool:
    """Whether two utterances at once give what they give alone."""
    both = torch.from_numpy(_noise(2, LENGTHS[0], input_dim))
    try:
        together = network(both, levels=network.levels)
    except (UserError, ValueError):  # it cannot be computed, or its outputs have another batch than its input
        return False
    alone = [network(row[None], levels=network.levels) for row in both]
    expected = {level: torch.cat([one[level] for one in alone]) for level in together}
    return all(
        torch.allclose(values, expected[level], rtol=1e-3, atol=1e-4 * float(values.abs().max()))
        for level, values in together.items()
    )


def _min_frames(network: OnnxNetwork, input_dim: int) -> int:
    """The shortest utterance that it takes, and of which all levels are finite."""
    if not _finite(network, LENGTHS[0], input_dim):
        raise UserError(f"{network.where}: its levels are not finite for noise of {LENGTHS[0]} frames")
    fails, works = 0, LENGTHS[0]
    while works - fails > 1:
        middle = (fails + works) // 2
        if _finite(network, middle, input_dim):
            works = middle
        else:
            fails = middle
    return works


def _finite(network: OnnxNetwork, frames: int, input_dim: int) -> bool:
    try:
        found = network(torch.from_numpy(_noise(1, frames, input_dim)), levels=network.levels)
    except UserError:
        return False
    return all(bool(values.isfinite().all()) for values in found.values())


def _noise(batch: int, frames: int, dim: int) -> np.ndarray:
    """Features to try a network with: float32 (batch, frames, dim)."""
    return np.random.default_rng(0).standard_normal((batch, frames, dim), np.float32)
