"""Kaldi's networks as ours: the embeddings are Kaldi's, on its own binaries' output and on a slow reference."""

import re

import kaldiio
import numpy as np
import pytest
import torch
from nnet3_files import ETDNN, TDNN, builder, small_etdnn, small_tdnn, write

from xvkd import config
from xvkd.errors import UserError
from xvkd.kaldi.nnet3 import parse_descriptor, read_nnet3
from xvkd.nets.extraction import ExtractionConfig, extract
from xvkd.nets.kaldi_import import import_network

CPU = torch.device("cpu")
KALDIS = [("xvector.txt", 10000), ("xvector_chunk100.txt", 100)]


def reference(nnet, wanted, frames):
    """The value of a node at frame 0, in float64, node by node and frame by frame as nnet3 is defined."""
    values = {"input": dict(enumerate(frames.astype(np.float64)))}
    for node in nnet.nodes.values():
        if node.kind != "component-node":
            continue
        component = nnet.components[node.fields["component"]]
        values[node.name] = {}
        for t in range(-20, len(frames) + 20):
            found = evaluate(component, parse_descriptor(node.fields["input"]), t, values)
            if found is not None:
                values[node.name][t] = found
    return values[wanted][0]


def gather(descriptor, t, values):
    """What a descriptor gives at frame t; None where it cannot be computed."""
    if isinstance(descriptor, str):
        return values[descriptor].get(t)
    function, *arguments = descriptor
    if function == "Append":
        parts = [gather(argument, t, values) for argument in arguments]
        return None if any(part is None for part in parts) else np.concatenate(parts)
    inner, number = arguments[0], int(arguments[1])
    return gather(inner, t + number if function == "Offset" else t - t % number, values)


def evaluate(component, descriptor, t, values):
    if component.kind == "StatisticsPoolingComponent":
        # All frames of the window that there are.
        first, last = t - component.integer("<LeftContext>"), t + component.integer("<RightContext>")
        frames = [values[descriptor][s] for s in sorted(values[descriptor]) if first <= s <= last]
        if not frames:
            return None
        sums = np.sum(frames, axis=0)
        mean, square = np.split(sums[1:] / sums[0], 2)
        deviation = np.sqrt(np.maximum(square - mean**2, component.number("<VarianceFloor>")))
        return np.concatenate([mean, deviation])
    x = gather(descriptor, t, values)
    if x is None:
        return None
    match component.kind:
        case "NaturalGradientAffineComponent":
            return component.array("<LinearParams>", 2) @ x + component.array("<BiasParams>", 1)
        case "RectifiedLinearComponent":
            return np.maximum(x, 0)
        case "BatchNormComponent":
            variance = component.array("<StatsVar>", 1) + component.number("<Epsilon>")
            return component.number("<TargetRms>") * (x - component.array("<StatsMean>", 1)) / np.sqrt(variance)
        case "StatisticsExtractionComponent":
            return np.concatenate([[1], x, x**2])
        case "LogSoftmaxComponent":
            return x - np.log(np.exp(x).sum())


def options_of(conf, chunk):
    options = config.load(ExtractionConfig, conf / "extraction.yaml")
    options.max_chunk_frames = chunk
    return options


def assert_embeddings_are_kaldis(network, frames, kaldis, options):
    """Returns how many utterances there are."""
    expected = dict(kaldiio.load_ark(str(kaldis)))
    found = dict(extract(network, kaldiio.load_ark(str(frames)), ["segment6"], options, CPU))
    for name, embeddings in found.items():
        np.testing.assert_allclose(embeddings["segment6"], expected[name], rtol=0, atol=1e-3, err_msg=name)
    return len(found)


@pytest.mark.parametrize(("file", "chunk"), KALDIS)
def test_xvectors_are_kaldis(golden, conf, file, chunk):
    """A recording, whole and in chunks, and an utterance of a single frame, which is extended to 25."""
    folder = golden / "nnet3"
    record, network, _ = import_network(folder / "final.raw", 30)
    assert (record.network, record.input_dim, network.levels["segment6"]) == ("tdnn", 30, 32)
    options = options_of(conf, chunk)
    assert assert_embeddings_are_kaldis(network, folder / "mfcc_cmn_voiced.ark", folder / file, options) == 2


@pytest.mark.parametrize("form", ["final.raw", "final.raw.txt"])
@pytest.mark.parametrize(("file", "chunk"), KALDIS)
def test_all_xvectors_are_kaldis_from_either_form(oracle, conf, form, file, chunk):
    _, network, _ = import_network(oracle / "xvector" / form, 30)
    frames = oracle / "feats" / "mfcc_cmn_voiced.ark"
    assert assert_embeddings_are_kaldis(network, frames, oracle / "xvector" / file, options_of(conf, chunk)) == 7


def test_the_reference_is_kaldi(golden):
    """What the tests below stand on gives Kaldi's embedding too."""
    frames = dict(kaldiio.load_ark(str(golden / "nnet3" / "mfcc_cmn_voiced.ark")))["s2-u1"]
    expected = dict(kaldiio.load_ark(str(golden / "nnet3" / "xvector.txt")))["s2-u1"]
    found = reference(read_nnet3(golden / "nnet3" / "final.raw"), "tdnn6.affine", frames)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    ("nnet", "name", "field", "first"), [(small_tdnn(), "tdnn", 15, 6), (small_etdnn(), "etdnn", 23, 11)],
    ids=["tdnn", "etdnn"],
)
@torch.no_grad()
def test_levels_are_those_of_the_reference(tmp_path, nnet, name, field, first, binary):
    nnet.components["tdnn2.batchnorm"].values["<TargetRms>"] = [0.5]
    nnet.components["tdnn3.batchnorm"].values["<Epsilon>"] = [0.1]
    path = write(tmp_path / "final.raw", nnet, binary)
    record, network, _ = import_network(path, 3)
    assert record.network == name and network.receptive_field == field and not network.training
    read = read_nnet3(path)
    for length in (field, 40):
        frames = np.random.default_rng(length).standard_normal((length, 3)).astype(np.float32)
        nodes = {"stats": "stats-pooling-0-10000"}
        nodes |= {f"segment{6 + number}": f"tdnn{first + number}.affine" for number in range(2)}
        levels = network(torch.from_numpy(frames)[None], levels=list(nodes))
        for level, node in nodes.items():
            expected = reference(read, node, frames)
            np.testing.assert_allclose(levels[level][0], expected, rtol=1e-3, atol=1e-4, err_msg=level)


def test_widths_are_free(tmp_path):
    nnet = builder(TDNN, (7, 3, 5, 9, 2), (6,)).output(4)
    record, network, _ = import_network(write(tmp_path / "final.raw", nnet), 3)
    assert record.arch == {"frame_widths": [7, 3, 5, 9, 2], "segment_widths": [6]}
    assert (network.output_level, network.output_dim) == ("segment6", 6)


@pytest.mark.parametrize(
    ("contexts", "segments", "input_dim", "message"),
    [
        (TDNN, (5, 4), 4, "reads 3 features a frame, but the configured ones have 4"),
        (((-2, 0, 2), *TDNN[1:]), (5, 4), 3,
         "'tdnn1.affine' reads the frames {-2, 0, 2}, that of tdnn {-2, -1, 0, 1, 2}"),
        ((TDNN[0], (-1, 0, 1), *TDNN[2:]), (5, 4), 3,
         "'tdnn2.affine' reads the frames {-1, 0, 1}, that of tdnn {-2, 0, 2}"),
        ((*ETDNN[:6], (-3, 0, 3), *ETDNN[7:]), (5,), 3,
         "'tdnn7.affine' reads the frames {-3, 0, 3}, that of etdnn {-4, 0, 4}"),
        (TDNN[:4], (5,), 3, "4 frame-level layers up to 'tdnn4.affine', tdnn has 5"),
        ((*TDNN, (0,)), (5,), 3, "6 frame-level layers up to 'tdnn6.affine', tdnn has 5; there are tdnn, etdnn"),
        (TDNN, (5, 4, 3), 3, "component 'tdnn8.affine': ours have up to 2 segment layers"),
    ],
)  # fmt: skip
def test_another_network_is_refused_and_told(tmp_path, contexts, segments, input_dim, message):
    nnet = builder(contexts, range(3, 3 + len(contexts)), segments).output(4)
    path = write(tmp_path / "final.raw", nnet)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        import_network(path, input_dim)
    assert str(caught.value).startswith(f"{path}: ")


def test_another_variance_floor_is_refused(tmp_path):
    nnet = small_tdnn()
    nnet.components["stats-pooling-0-10000"].values["<VarianceFloor>"] = [1e-5]
    with pytest.raises(UserError, match=r"the statistics pooling has the variance floor 9.99\S*e-06, ours 1e-10"):
        import_network(write(tmp_path / "final.raw", nnet), 3)
