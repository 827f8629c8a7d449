"""Networks: sizes as published, levels as defined, and embeddings that do not depend on the batch."""

import importlib
import re

import numpy as np
import pytest
import torch
from small_networks import (
    FEATURES,
    SMALL,
    SMALL_STUDENTS,
    features_of,
    small_network,
    small_teacher,
    student_of,
    teacher_of,
)

from xvkd.errors import UserError
from xvkd.nets.describe import describe
from xvkd.nets.models import STUDENTS, TEACHERS, BuildRecord, build_network
from xvkd.registry import names
from xvkd.training.config import load_model_config

LEVELS = ["frame1", "frame2", "frame3", "frame4", "frame5", "frame", "stats", "segment6", "segment7"]
NETWORKS = [*SMALL, *SMALL_STUDENTS]
CONTEXTS = {
    "tdnn": [(-2, -1, 0, 1, 2), (-2, 0, 2), (-3, 0, 3), (0,), (0,)],
    "etdnn": [(-2, -1, 0, 1, 2), (0,), (-2, 0, 2), (0,), (-3, 0, 3), (0,), (-4, 0, 4), (0,), (0,), (0,)],
}


def test_the_teacher_has_the_published_size(conf):
    network = teacher_of(conf, "tdnn")
    assert network.num_parameters("segment6") == 4_219_868
    assert network.num_parameters() == network.num_parameters("segment7") == 4_482_524
    # Layer by layer, as the table in its module says.
    layers = [77_312, 786_944, 786_944, 262_656, 769_500, 0, 0, 1_536_512, 262_656]
    assert [network.num_parameters(level) for level in LEVELS] == np.cumsum(layers).tolist()
    assert teacher_of(conf, "tdnn_half").num_parameters() == 1_154_816


def test_the_extended_teacher_has_the_published_size(conf):
    network = teacher_of(conf, "etdnn")
    assert network.num_parameters("segment6") == 6_057_436
    assert network.num_parameters() == network.num_parameters("segment7") == 6_320_092
    layers = [77_312, 262_656, 786_944, 262_656, 786_944, 262_656, 786_944, 262_656, 262_656, 769_500, 0, 0, 1_536_512]
    levels = [*(f"frame{number}" for number in range(1, 11)), "frame", "stats", "segment6"]
    assert [network.num_parameters(level) for level in levels] == np.cumsum(layers).tolist()
    assert list(network.levels) == [*levels, "segment7"] and network.receptive_field == 23
    assert teacher_of(conf, "etdnn_half").num_parameters() == 1_614_848


@pytest.mark.parametrize(
    ("teacher", "millions", "sizes"),
    [
        ("ecapa512", 6.2, (1536, 3072, 192)), ("ecapa1024", 14.7, (1536, 3072, 192)),
        ("resnet34", 6.6, (2560, 5120, 256)),
    ],
)  # fmt: skip
def test_other_teachers_have_the_published_sizes(conf, teacher, millions, sizes):
    network = teacher_of(conf, teacher)
    assert round(network.num_parameters() / 1e6, 1) == millions
    assert tuple(network.levels[level] for level in ("frame", "stats", "segment6")) == sizes


def table_of(docstring):
    """The rows of the first table of a module's docstring, by column."""
    lines = docstring.splitlines()
    first, second, last = (i for i, line in enumerate(lines) if line.startswith("===="))
    spans = [match.span() for match in re.finditer("=+", lines[first])]
    cells = [[line[a:b].strip() for a, b in spans] for line in [lines[first + 1], *lines[second + 1 : last]]]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


@pytest.mark.parametrize("name", names(TEACHERS))
def test_the_table_of_layers_is_that_of_the_network(conf, name):
    """In the docstring of each teacher: contexts, widths and parameters, and the figures below the table."""
    text = importlib.import_module(f"{TEACHERS}.{name}").__doc__
    configured = re.search(r"conf/teachers/(\w+)\.yaml", text)[1]
    model, _, features, _ = load_model_config(conf / "teachers" / f"{configured}.yaml", [])
    assert model.network == name
    described = describe(teacher_of(conf, configured), features.dim)
    rows = [(row["layer"], row["context"], row["width"], row["parameters"]) for row in table_of(text)]
    assert rows == [
        (layer.name, layer.context, str(layer.width), f"{layer.parameters:,}") for layer in described.layers
    ]
    assert f"{described.parameters:,}" in text


def test_the_other_size_in_a_docstring(conf):
    assert f"{teacher_of(conf, 'ecapa1024').num_parameters():,}" in importlib.import_module(f"{TEACHERS}.ecapa").__doc__


@pytest.mark.parametrize(
    ("key", "widths", "message"),
    [
        ("frame_widths", [6] * 10, "frame_widths has 10 values, expected one for each of the 5 layers"),
        ("segment_widths", [], r"segment_widths has 0 values, expected 1 to 2 \(segment6, segment7\)"),
        ("segment_widths", [5, 5, 5], "segment_widths has 3 values, expected 1 to 2"),
        ("frame_widths", [6, 6, 0, 6, 6], "frame_widths: 0 is impossible"),
    ],
)
def test_impossible_widths_are_told(key, widths, message):
    arch = {"frame_widths": [6] * 5, "segment_widths": [5, 5], key: widths}
    with pytest.raises(UserError, match=rf"teacher.yaml: arch.*{message}"):
        build_network(BuildRecord(TEACHERS, "tdnn", arch, 4, 0), "teacher.yaml")


@pytest.mark.parametrize("width", [76, 152])
@pytest.mark.parametrize("output_dim", [512, 1500, 3000, 3036])
def test_students_have_the_size_of_the_formula(width, output_dim):
    size = 8 * width**2 + 155 * width + 2 * width * output_dim + output_dim
    student = student_of(width, output_dim)
    assert student.num_parameters() == student.num_parameters("embedding") == size


DEFAULT = "frame4+frame+segment6+segment7"


@pytest.mark.parametrize(
    ("teacher", "width", "concatenation", "reductions"),
    [
        ("tdnn", 152, DEFAULT, [91.9, 85.1, 74.7]), ("tdnn_half", 76, DEFAULT, [91.6, 84.8, 74.6]),
        ("etdnn", 200, DEFAULT, [91.2, 84.9, 75.2]), ("etdnn_half", 98, DEFAULT, [91.2, 84.9, 75.6]),
        ("ftdnn", 290, DEFAULT, [92.0, 84.9, 75.6]), ("ftdnn_half", 142, DEFAULT, [92.0, 85.1, 76.0]),
        ("ecapa512", 218, "frame4+frame+segment6", [92.0, 82.5, 77.5]),
        ("ecapa1024", 352, "frame4+frame+segment6", [91.9, 85.5, 79.6]),
        ("ecapa_half", 102, "frame4+frame+segment6", [92.1, 85.4, 80.1]),
        ("resnet34", 220, "frame+segment6", [91.9, 76.6, 74.9]),
        ("resnet34_half", 106, "frame+segment6", [91.9, 80.9, 78.2]),
    ],
)  # fmt: skip
def test_a_width_keeps_the_papers_proportions(conf, teacher, width, concatenation, reductions):
    """As the comments in conf/teachers say, for segment6, frame and a concatenation; the student reads MFCC."""
    whole = teacher_of(conf, teacher)
    comment = " ".join((conf / "teachers" / f"{teacher}.yaml").read_text().replace("# ", "").split())
    assert f"A student of width {width}" in comment and f"for {concatenation}" in comment
    assert f"{whole.num_parameters() / 1e6:.2f} M parameters" in comment
    for levels, reduction in zip(["segment6", "frame", concatenation], reductions, strict=True):
        student = student_of(width, sum(whole.levels[level] for level in levels.split("+")))
        smaller = 100 * (1 - student.num_parameters() / whole.num_parameters())
        assert smaller == pytest.approx(reduction, abs=0.05) and f"{reduction} %" in comment


@pytest.mark.parametrize(
    ("levels", "parameters", "reduction"),
    [
        ("segment6", 364_552, 91.9), ("segment7", 364_552, 91.9), ("frame", 665_892, 85.1), ("stats", None, 74.9),
        ("frame4+frame+segment6+segment7", 1_134_372, 74.7),
    ],
)  # fmt: skip
def test_students_are_as_much_smaller_as_published(conf, levels, parameters, reduction):
    teacher = teacher_of(conf, "tdnn")
    model, _, features, _ = load_model_config(conf / "students" / "tdnn152.yaml", [])
    output_dim = sum(teacher.levels[level] for level in levels.split("+"))
    student = build_network(BuildRecord(STUDENTS, model.network, model.arch, features.dim, output_dim), "student")
    assert parameters in (None, student.num_parameters())
    assert 100 * (1 - student.num_parameters() / teacher.num_parameters()) == pytest.approx(reduction, abs=0.05)


def described_student(conf, name, output_dim):
    """What ``conf/students/<name>.yaml`` is with so many outputs."""
    model, _, features, _ = load_model_config(conf / "students" / f"{name}.yaml", [])
    record = BuildRecord(STUDENTS, model.network, model.arch, features.dim, output_dim)
    return describe(build_network(record, name), features.dim)


@pytest.mark.parametrize("name", ["dsconv96", "dsconv160", "dsconv256", "redimnet8", "redimnet12", "redimnet16"])
def test_students_of_other_shapes_cost_what_their_files_say(conf, name):
    comment = (conf / "students" / f"{name}.yaml").read_text()
    half = described_student(conf, name, 256)
    shares = [100 * half.parameters / teacher_of(conf, teacher).num_parameters() for teacher in ("tdnn_half", "tdnn")]
    assert f"# {half.parameters:,} parameters for 256 outputs ({shares[0]:.1f} % of tdnn_half" in comment
    deployed = described_student(conf, name, 200)
    assert f", {shares[1]:.1f} % of tdnn), {deployed.parameters:,} for 200;" in comment
    assert f"# {deployed.macs / 1e6:.1f} million multiply-accumulates per second" in comment
    assert 1e5 < half.parameters < 1e6


@pytest.mark.parametrize("name", ["dsconv96", "redimnet8"])
def test_the_smallest_are_deployed_with_fewer_than_120_thousand_parameters(conf, name):
    assert described_student(conf, name, 200).parameters < 120_000


@pytest.mark.parametrize(
    ("width", "outputs", "base", "output_dim"),
    [
        (181, 200, 152, 512), (256, 200, 152, 1500), (342, 200, 152, 3036),
        (84, 168, 76, 256), (117, 200, 76, 768), (160, 200, 76, 1536),
    ],
)  # fmt: skip
def test_wider_students_spend_what_folding_saves(conf, width, outputs, base, output_dim):
    """At the size of a narrower one that is not folded, to one percent, as the comments in conf/students say."""
    comment = (conf / "students" / f"tdnn{width}.yaml").read_text()
    deployed = described_student(conf, f"tdnn{width}", outputs).parameters
    whole = described_student(conf, f"tdnn{base}", output_dim).parameters
    assert deployed == student_of(width, outputs).num_parameters() == pytest.approx(whole, rel=0.01)
    assert outputs == min(200, 2 * width)
    more = 100 * (deployed / whole - 1)
    assert f"What width {base} spends on {output_dim} outputs" in comment
    assert f"folded to {outputs} outputs (LDA), {deployed:,} parameters" in comment
    assert f"{abs(more):.1f} % {'more' if more > 0 else 'fewer'} than the {whole:,} of width {base}" in comment


def test_levels_have_their_names_and_sizes(conf):
    network = teacher_of(conf, "tdnn")
    assert network.levels == dict(zip(LEVELS, [512] * 4 + [1500, 1500, 3000, 512, 512], strict=True))
    assert (network.output_level, network.output_dim, network.receptive_field) == ("segment7", 512, 15)
    assert network.min_frames == 15
    student = student_of(16, 7)
    sizes = [*[16] * 6, 32, 7]
    assert student.levels == dict(zip([*LEVELS[:7], "embedding"], sizes, strict=True))
    assert (student.output_level, student.output_dim) == ("embedding", 7)
    assert network.aliases == student.aliases == {"frame": "frame5"}


def by_loops(network, contexts, frames):
    """Every level of one utterance in float64, tap by tap, as the literature defines them."""
    state = {name: value.double().numpy() for name, value in network.state_dict().items()}

    def norm(x, name):
        return (x - state[f"{name}.running_mean"]) / np.sqrt(state[f"{name}.running_var"] + 1e-5)

    x, levels = frames.double().numpy(), {}
    for i, context in enumerate(contexts):
        weight, bias = state[f"frame_layers.{i}.affine.weight"], state[f"frame_layers.{i}.affine.bias"]
        outputs = []
        for t in range(-context[0], len(x) - context[-1]):
            affine = bias + sum(weight[:, :, tap] @ x[t + offset] for tap, offset in enumerate(context))
            outputs.append(norm(np.maximum(affine, 0), f"frame_layers.{i}.norm"))
        x = np.array(outputs)
        levels[f"frame{i + 1}"] = x.mean(axis=0)
    levels["frame"] = x.mean(axis=0)
    levels["stats"] = np.concatenate([x.mean(axis=0), x.std(axis=0)])
    segment6 = state["segment_layers.segment6.weight"] @ levels["stats"] + state["segment_layers.segment6.bias"]
    hidden = norm(np.maximum(segment6, 0), "segment_norms.segment7")
    levels["segment6"] = segment6
    levels["segment7"] = state["segment_layers.segment7.weight"] @ hidden + state["segment_layers.segment7.bias"]
    return levels


@pytest.mark.parametrize("name", CONTEXTS)
@torch.no_grad()
def test_levels_are_what_they_are_defined_to_be(name):
    network = small_teacher(name)
    (frames,) = features_of(33)
    levels = list(network.levels)
    ours = network(frames[None], levels=levels)
    expected = by_loops(network, CONTEXTS[name], frames)
    assert list(ours) == levels and expected.keys() == set(levels)
    for level in levels:
        assert ours[level].dtype == torch.float32 and ours[level].shape == (1, network.levels[level])
        np.testing.assert_allclose(ours[level][0].numpy(), expected[level], rtol=1e-4, atol=1e-5, err_msg=level)


@torch.no_grad()
def test_the_shortest_input_is_the_receptive_field():
    network = small_teacher()
    (frames,) = features_of(network.receptive_field)
    found = network(frames[None], levels=LEVELS)
    # A single output frame: its mean is itself, and it does not deviate.
    assert found["stats"][0, :8].tolist() == found["frame"][0].tolist()
    np.testing.assert_allclose(found["stats"][0, 8:].numpy(), 1e-5, rtol=1e-5)
    with pytest.raises(RuntimeError):
        network(frames[None, 1:])


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_padding_changes_nothing(name):
    """Whatever stands in the padding, an utterance's levels are those that it has alone."""
    network = small_network(name)
    shortest, levels = network.min_frames, list(network.levels)
    utterances = features_of(shortest, 60, shortest + 1, shortest + 2, shortest + 7, shortest + 16, 59)
    batch = torch.full((len(utterances), 71, FEATURES), torch.nan)
    for row, frames in enumerate(utterances):
        batch[row, : len(frames)] = frames
    together = network(batch, torch.tensor([len(frames) for frames in utterances]), levels)
    for row, frames in enumerate(utterances):
        alone = network(frames[None], levels=levels)
        for level in levels:
            assert alone[level].shape == (1, network.levels[level])
            np.testing.assert_allclose(together[level][row], alone[level][0], rtol=1e-5, atol=1e-5, err_msg=level)


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_one_level_alone_is_that_among_all(name):
    network = small_network(name)
    (frames,) = features_of(50)
    everything = network(frames[None], levels=list(network.levels))
    for level in network.levels:
        alone = network(frames[None], levels=[level])
        assert list(alone) == [level]
        assert torch.equal(alone[level], everything[level])
    default = network(frames[None])
    assert list(default) == [network.output_level]
    assert torch.equal(default[network.output_level], everything[network.output_level])
    assert all(torch.equal(everything[alias], everything[level]) for alias, level in network.aliases.items())


@pytest.mark.parametrize("name", NETWORKS)
def test_an_utterance_teaches_every_layer(name):
    """In training the gradient reaches all weights, and the sizes that each level is said to need are those."""
    network = small_network(name).train()
    network(torch.stack(features_of(50, 50, 50)))[network.output_level].square().sum().backward()
    for parameter, value in network.named_parameters():
        assert value.grad is not None and value.grad.abs().sum() > 0, parameter
    for level in network.levels:
        network.zero_grad()
        network(torch.stack(features_of(50, 50, 50)), levels=[level])[level].square().sum().backward()
        assert network.num_parameters(level) == sum(p.numel() for p in network.parameters() if p.grad is not None)
    with pytest.raises(KeyError):
        network.num_parameters("frame99")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_receptive_field_is_what_an_output_frame_sees(name):
    """By the gradient of a frame in the middle; the gates of ECAPA, which see everything, held open."""
    network = small_network(name)
    for parameter, value in network.named_parameters():
        if "gates.excite.weight" in parameter:
            torch.nn.init.zeros_(value)
    features = torch.stack(features_of(*[401] * 64)).requires_grad_()
    *_, (output, _) = network.frame_outputs(features, None)
    output[:, output.shape[1] // 2].sum().backward()
    seen = features.grad.abs().sum(dim=(0, 2)).nonzero().flatten()
    assert int(seen.max() - seen.min()) + 1 == network.receptive_field


@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_changes_little(name):
    """Of the levels, which come in float32 nevertheless."""
    network = small_network(name)
    features = torch.stack(features_of(80, 80))
    with torch.no_grad():
        exact = network(features, levels=list(network.levels))
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(features, levels=list(network.levels))
    for level, value in exact.items():
        assert rough[level].dtype == torch.float32
        assert (rough[level] - value).norm() < 0.03 * value.norm(), level


@torch.no_grad()
def test_constant_channels_do_not_break_the_statistics():
    """The deviation of a channel that never changes is the square root of Kaldi's floor, not NaN."""
    network = small_teacher()
    stats = network(torch.ones(2, 30, 4), levels=["stats"])["stats"]
    assert torch.isfinite(stats).all()
    np.testing.assert_allclose(stats[:, 8:].numpy(), 1e-5, rtol=0.05)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_further_levels_come_when_they_are_named(name):
    """Plain statistics of each layer, and its frames; padding has no part in either."""
    network, (short, long) = small_teacher(name), features_of(50, 64)
    assert not set(network.further_levels) & set(network.levels)
    padded = torch.stack([torch.cat([short, torch.full((14, FEATURES), 9.0)]), long])
    number = len(network.frame_layers)
    wanted = [level for i in (1, number) for level in (f"frame{i}", f"stats{i}", f"frame{i}.sequence")]
    batch = network(padded, torch.tensor([50, 64]), [level for level in wanted if "sequence" not in level])
    for row, features in enumerate((short, long)):
        alone = network(features[None], levels=wanted)
        for i in (1, number):
            frames = alone[f"frame{i}.sequence"][0]
            expected = torch.cat([frames.mean(dim=0), frames.var(dim=0, unbiased=False).clamp(min=1e-10).sqrt()])
            np.testing.assert_allclose(alone[f"stats{i}"][0].detach(), expected.detach(), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(batch[f"stats{i}"][row].detach(), expected.detach(), rtol=1e-3, atol=1e-4)
            assert network.further_levels[f"stats{i}"] == len(expected)
            assert network.num_parameters(f"stats{i}") == network.num_parameters(f"frame{i}")
    last = network(long[None], levels=["frame.sequence"])["frame.sequence"]
    assert torch.equal(last, alone[f"frame{number}.sequence"])
    with pytest.raises(KeyError):
        network.num_parameters("stats99")
