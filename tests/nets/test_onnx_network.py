"""Networks in ONNX files: each level is what PyTorch computes, whatever shape, layout and padding it comes from."""

import numpy as np
import onnx
import pytest
import torch
from onnx_files import Builder, xvector
from torch import nn

from xvkd.errors import UserError
from xvkd.nets.extraction import ExtractionConfig, extract
from xvkd.nets.models import TEACHERS, BuildRecord, build_network
from xvkd.nets.onnx_import import LAYOUTS, import_network, parse_nodes, possible_levels

CPU = torch.device("cpu")
ARCH = {"frame_widths": [16, 16, 16, 16, 24], "segment_widths": [12, 10]}
NODES = {"frame1": "frame1", "frame": "frame5", "stats": "stats", "segment6": "segment6", "segment7": "segment7"}


@pytest.fixture(scope="module")
def network():
    """An x-vector network of 80 features whose BatchNorms have seen something."""
    torch.manual_seed(0)
    network = build_network(BuildRecord(TEACHERS, "tdnn", ARCH, 80, 0), "small")
    with torch.no_grad():
        network(3 * torch.randn(8, 60, 80) + 1)
    return network.eval()


@pytest.fixture
def path(network, tmp_path):
    return xvector(network).save(tmp_path / "tdnn.onnx", "segment7")


def imported(path, nodes, dim=80):
    return import_network(path, nodes, dim)[1]


@torch.no_grad()
def assert_same(ours, theirs, features, num_frames=None):
    found, expected = (net(features, num_frames, list(ours.levels)) for net in (ours, theirs))
    for level, values in found.items():
        assert values.shape == (len(features), ours.levels[level]) and values.dtype == torch.float32
        np.testing.assert_allclose(values, expected[level], rtol=1e-4, atol=1e-4, err_msg=level)


@pytest.mark.parametrize("opset", [11, 17, 21])
@pytest.mark.parametrize("batch", ["B", 1])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_levels_are_those_of_the_network_in_pytorch(network, tmp_path, layout, batch, opset):
    path = xvector(network, layout, batch, opset).save(tmp_path / "tdnn.onnx", "segment7")
    record, ours, _ = import_network(path, NODES, 80)
    assert record.arch == {"layout": layout, "batches": batch == "B", "min_frames": network.min_frames}
    assert ours.levels == {level: network.levels[level] for level in NODES}
    assert (ours.output_level, ours.output_dim) == ("segment7", 10)
    assert_same(ours, network, torch.randn(4, 50, 80))


@pytest.mark.parametrize("batch", ["B", 1])
def test_padding_never_counts(network, tmp_path, batch):
    ours = imported(xvector(network, batch=batch).save(tmp_path / "tdnn.onnx", "segment7"), NODES)
    num_frames = torch.tensor([40, 15, 33, 40, 15])
    features = torch.randn(5, 40, 80)
    for row, frames in enumerate(num_frames):
        features[row, frames:] = torch.nan
    expected = {level: torch.cat([ours(features[row : row + 1, :frames], levels=[level])[level]
                                  for row, frames in enumerate(num_frames)]) for level in NODES}  # fmt: skip
    for level, values in ours(features, num_frames, list(NODES)).items():
        torch.testing.assert_close(values, expected[level], rtol=1e-5, atol=1e-5)
    assert list(ours(features, num_frames)) == ["segment7"]


def test_extraction_is_that_of_the_network_in_pytorch(network, path):
    """Short utterances are extended, long ones cut; the order is kept."""
    random = np.random.default_rng(0)
    lengths = (60, 3, 33, 33, 15, 130)
    utterances = [(f"u{n}", random.standard_normal((length, 80), np.float32)) for n, length in enumerate(lengths)]
    options, levels = ExtractionConfig(1, 100, 200, 4), list(NODES)
    ours, theirs = (list(extract(net, utterances, levels, options, CPU)) for net in (imported(path, NODES), network))
    for (name, found), (expected_name, expected) in zip(ours, theirs, strict=True):
        assert name == expected_name
        for level in levels:
            np.testing.assert_allclose(found[level], expected[level], rtol=1e-4, atol=1e-4, err_msg=f"{name} {level}")


class Convolutional(nn.Module):
    """A convolution over frequency and time, the mean over time, an affine layer."""

    def __init__(self):
        super().__init__()
        self.conv, self.affine = nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.Linear(120, 7)

    def forward(self, features, num_frames=None, levels=()):
        front = self.conv(features.transpose(1, 2)[:, None]).relu()
        frame = front.mean(dim=3).flatten(1)
        return {"frame": frame, "channel": front.mean(dim=3).flatten(1), "segment6": self.affine(frame)}


def convolutional(network):
    """The graph of a Convolutional network: front is batch x channels x frequency x time."""
    build = Builder(["B", "T", 80])
    state = {name: build.weight(name, tensor.numpy()) for name, tensor in network.state_dict().items()}
    x = build.node("Unsqueeze", [build.node("Transpose", ["feats"], "turned", perm=[0, 2, 1]),
                                 build.weight("one", np.array([1]))], "image")  # fmt: skip
    x = build.node("Conv", [x, state["conv.weight"], state["conv.bias"]], "conv", strides=[2, 2], pads=[1, 1, 1, 1])
    front = build.node("Relu", [x], "front")
    last = build.node("Transpose", [front], "time_first", perm=[3, 0, 1, 2])
    build.node("Flatten", [last], "rows")  # time x (channels, frequency): with one utterance, no batch axis is left
    build.node("Transpose", [front], "time_second", perm=[0, 3, 1, 2])
    mean = build.node("Flatten", [build.node("ReduceMean", [front], "mean", axes=[3])], "flat")
    build.node("Gemm", [mean, state["affine.weight"], state["affine.bias"]], "embs", transB=1)
    return build


@pytest.mark.parametrize("frame", ["front", "mean", "time_first", "rows", "time_second"])
def test_the_frames_of_a_convolutional_network(tmp_path, frame):
    """Time is averaged over wherever it stands; what is left is flattened as the network's own pooling has it."""
    torch.manual_seed(0)
    theirs = Convolutional()
    path = convolutional(theirs).save(tmp_path / "resnet.onnx", "embs")
    ours = imported(path, {"frame": frame, "segment6": "embs"})
    assert ours.levels == {"frame": 120, "segment6": 7}
    assert_same(ours, theirs, torch.randn(3, 51, 80))


def test_utterances_that_would_mix_are_computed_alone(tmp_path):
    """A network that normalises over the batch, as an export with one utterance may leave it."""
    build = Builder(["B", "T", 4])
    mixed = build.node("ReduceMean", ["feats"], "mixed", axes=[0, 1], keepdims=1)
    build.node("ReduceMean", [build.node("Mul", ["feats", mixed], "product")], "embs", axes=[1], keepdims=0)
    record, ours, _ = import_network(build.save(tmp_path / "mixed.onnx", "embs"), {"segment6": "embs"}, 4)
    assert record.arch["batches"] is False
    features = torch.randn(3, 20, 4)
    expected = features.mean(dim=1).square()
    torch.testing.assert_close(ours(features)["segment6"], expected, rtol=1e-4, atol=1e-6)


def test_utterances_of_which_a_level_is_not_finite_are_too_short(tmp_path):
    """An unbiased variance of one frame is 0 / 0."""
    build = Builder(["B", "T", 4])
    deviation = build.node("Sub", ["feats", build.node("ReduceMean", ["feats"], "mean", axes=[1])], "deviation")
    total = build.node("ReduceSumSquare", [deviation], "total", axes=[1], keepdims=0)
    count = build.node("Slice", [build.node("Shape", ["feats"], "shape"), build.weight("from", np.array([1])),
                                 build.weight("to", np.array([2]))], "count")  # fmt: skip
    count = build.node("Cast", [build.node("Sub", [count, build.weight("less", np.array([1]))], "fewer")], "real", to=1)
    build.node("Div", [total, count], "variance")
    record, ours, _ = import_network(build.save(tmp_path / "variance.onnx", "variance"), {"stats": "variance"}, 4)
    assert record.arch["min_frames"] == ours.min_frames == 2
    features = torch.randn(2, 9, 4)
    torch.testing.assert_close(ours(features)["stats"], features.var(dim=1))


def test_parameters_are_the_weights_that_a_level_needs(network, path):
    """With BatchNorm's statistics, scale and shift, which in a file are weights like others."""
    ours = imported(path, {**NODES, "affine": "frame1.affine"})
    assert ours.num_parameters("affine") == 80 * 5 * 16 + 16
    assert ours.num_parameters("frame1") == ours.num_parameters("affine") + 4 * 16
    assert ours.num_parameters("segment6") == ours.num_parameters("stats") + 48 * 12 + 12
    assert ours.num_parameters("segment7") == ours.num_parameters() == network.num_parameters() + 4 * (4 * 16 + 24 + 12)
    frame_alone = imported(path, {"frame": "frame5"})
    assert frame_alone.num_parameters() == ours.num_parameters() > frame_alone.num_parameters("frame")


def test_what_no_level_needs_is_not_kept(path):
    kept = onnx.load_from_string(imported(path, {"frame1": "frame1"}).model)
    of_the_file = [node.name for node in kept.graph.node if node.name]
    assert of_the_file == ["TURNED", "FRAME1.AFFINE", "FRAME1.RELU", "FRAME1"]
    assert {weight.name.split(".")[0] for weight in kept.graph.initializer} == {"frame1"}
    onnx.checker.check_model(kept)


def test_weights_inside_of_a_branch_count(tmp_path):
    """Exports of PyTorch ask for shapes in branches that use weights from outside."""
    inner = onnx.helper.make_graph([onnx.helper.make_node("Gemm", ["mean", "weight"], ["inside"])], "branch", [],
                                   [onnx.ValueInfoProto(name="inside")])  # fmt: skip
    build = Builder(["B", "T", 4])
    build.node("ReduceMean", ["feats"], "mean", axes=[1], keepdims=0)
    weight = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    build.weight("weight", weight)
    yes = build.weight("yes", np.array(True))
    build.node("If", [yes], "embs", then_branch=inner, else_branch=inner)
    ours = imported(build.save(tmp_path / "branch.onnx", "embs"), {"segment6": "embs"}, 4)
    assert ours.num_parameters("segment6") == 12
    features = torch.randn(2, 9, 4)
    expected = features.mean(dim=1) @ torch.from_numpy(weight)
    torch.testing.assert_close(ours(features)["segment6"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE])
def test_levels_of_other_precisions_become_float32(tmp_path, kind):
    build = Builder(["B", "T", 4])
    build.node("Cast", ["feats"], "other", to=kind)
    ours = imported(build.save(tmp_path / "other.onnx", "other"), {"frame": "other"}, 4)
    features = torch.randn(2, 300, 4)
    torch.testing.assert_close(ours(features)["frame"], features.mean(dim=1), rtol=0, atol=1e-4)


def test_an_input_of_another_precision_is_given_that(tmp_path):
    build = Builder(["B", "T", 4])
    build.input.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    build.node("ReduceMean", ["feats"], "mean", axes=[1], keepdims=0)
    ours = imported(build.save(tmp_path / "half.onnx", "mean"), {"frame": "mean"}, 4)
    features = torch.randn(2, 30, 4)
    torch.testing.assert_close(ours(features)["frame"], features.mean(dim=1), rtol=0, atol=1e-2)


def test_weights_in_files_beside_it_are_read(network, tmp_path):
    model = xvector(network).model("segment7")
    onnx.save(model, tmp_path / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=0)
    ours = imported(tmp_path / "big.onnx", NODES)
    (tmp_path / "big.data").unlink()
    assert_same(ours, network, torch.randn(2, 40, 80))
    with pytest.raises(UserError, match=r"big.onnx: no ONNX file, or damaged: .*big.data"):
        imported(tmp_path / "big.onnx", NODES)


def test_the_layout_of_an_input_of_free_sizes_is_found_by_trying(network, tmp_path):
    build = xvector(network, "batch-features-frames")
    build.input.type.tensor_type.shape.dim[1].dim_param = "F"
    record, _, _ = import_network(build.save(tmp_path / "free.onnx", "segment7"), NODES, 80)
    assert record.arch["layout"] == "batch-features-frames"


def test_what_can_be_a_level_is_found(tmp_path):
    path = convolutional(Convolutional()).save(tmp_path / "resnet.onnx", "embs")
    found = {level.tensor: (operator, level.size, str(level)) for operator, level in possible_levels(path, 80)}
    assert found["front"] == ("Relu", 120, "1 x 3 x 40 x time")
    assert found["rows"] == ("Flatten", 120, "time x 120")
    assert found["embs"] == ("Gemm", 7, "1 x 7")
    assert "one" not in found  # a weight


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("segment6=embs", {"segment6": "embs"}),
        ("frame=/layer4/Relu_output_0,segment6=embs", {"frame": "/layer4/Relu_output_0", "segment6": "embs"}),
        ("a=model/bn:0,b=x=y", {"a": "model/bn:0", "b": "x=y"}),
        ("a=add(x,y),b=z", {"a": "add(x,y)", "b": "z"}),
    ],
)
def test_names_of_nodes_may_be_odd(text, nodes):
    assert parse_nodes(text) == nodes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("embs", "'embs': expected level=node,level=node"),
        ("", "expected level=node"),
        ("segment6=", "expected level=node"),
        ("a=x,a=y", "'a' stands there twice"),
        ("a=x,frame.5=y", "'frame.5' cannot be a level's name: letters, digits, _ and -"),
        ("a+b=x", "'a.b' cannot be"),
        ("a:b=x", "'a:b' cannot be"),
        ("a b=x", "'a b' cannot be"),
        ("=x", "'' cannot be"),
        ("all=x", "'all' cannot be"),
    ],
)
def test_levels_that_cannot_be_are_told(text, message):
    with pytest.raises(UserError, match=message):
        parse_nodes(text)


def with_input(network, *shape):
    """The x-vector network with another declared input."""
    build = xvector(network)
    build.input = Builder(shape).input
    return build


def with_length(network):
    build = xvector(network)
    model = build.model("segment7")
    model.graph.input.append(onnx.helper.make_tensor_value_info("lengths", onnx.TensorProto.INT64, ["B"]))
    return model


def squares(network):
    build = xvector(network)
    build.node("MatMul", [build.node("Transpose", ["frame5"], "frames", perm=[0, 2, 1]), "frame5"], "products")
    build.node("Shape", ["frame5"], "sizes")
    build.node("Identity", ["frame1.weight"], "constant")
    return build


@pytest.mark.parametrize(
    ("change", "node", "dim", "message"),
    [
        (squares, "segment8", 80, r"no node 'segment8' \(there are segment7, .*segment6.* import_onnx.py --list"),
        (squares, "qqq", 80, r"no node 'qqq' \(there are .*, constant and others"),
        (squares, "products", 80, "'products' can be no level: it is .* of 200 and 331 frames, and one axis can"),
        (squares, "sizes", 80, "'sizes' can be no level: it does not hold real numbers"),
        (squares, "constant", 80, "'constant' does not depend on the input 'feats'"),
        (squares, "feats", 80, "no node 'feats'"),
        (squares, "segment6", 30, r"'feats' is \? x \? x 80, expected batch x frames x 30 or batch x 30 x fr"),
        (lambda n: with_input(n, "B", "T"), "segment6", 80, r"'feats' is \? x \?, expected batch x frames x 80"),
        (lambda n: with_input(n, 8, "T", 80), "segment6", 80, "8 x .*: it takes batches of 8 alone; export"),
        (lambda n: with_input(n, 1, 200, 80), "segment6", 80, "1 x 200 x 80: it takes utterances of 200 frames alone"),
        (with_length, "segment6", 80, r"has 2 inputs \(feats, lengths\), expected the features alone"),
    ],
)  # fmt: skip
def test_what_can_be_no_teacher_is_told(network, tmp_path, change, node, dim, message):
    changed = change(network)
    if not isinstance(changed, onnx.ModelProto):
        changed = changed.model("segment7")
    onnx.save(changed, tmp_path / "x.onnx")
    with pytest.raises(UserError, match=message) as caught:
        import_network(tmp_path / "x.onnx", {"segment6": node}, dim)
    assert str(caught.value).startswith(f"{tmp_path / 'x.onnx'}: ")


def test_an_input_of_free_sizes_that_takes_both_layouts_is_told(tmp_path):
    build = Builder(["B", "T", "F"])
    build.node("ReduceMean", ["feats"], "mean", axes=[1, 2], keepdims=0)
    path = build.save(tmp_path / "any.onnx", "mean")
    with pytest.raises(UserError, match="'feats' has no size that tells 80 features from frames: export it"):
        import_network(path, {"segment6": "mean"}, 80)


def test_a_length_inside_of_the_network_is_told(tmp_path):
    """Declared as free, but a shape inside is that of the example with which it was exported."""
    build = Builder(["B", "T", 80])
    build.node("Reshape", ["feats", build.weight("shape", np.array([1, 200, 80]))], "fixed")
    path = build.save(tmp_path / "fixed.onnx", "fixed")
    with pytest.raises(UserError, match="cannot be computed of an input of 1 x 331 x 80"):
        import_network(path, {"frame": "fixed"}, 80)


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:1000], lambda data: b"\x80" * 500, lambda data: b"a text\n" * 9]
)
def test_a_damaged_file_is_told(path, damage):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="tdnn.onnx: no ONNX file, or damaged"):
        import_network(path, NODES, 80)
