"""F-TDNN: its levels frame by frame, and first factors that are semi-orthogonal while it is trained."""

import pytest
import torch
from small_networks import FEATURES, SMALL, Reference, assert_levels, features_of, small_teacher

from xvkd.errors import UserError
from xvkd.nets.models import TEACHERS, BuildRecord, build_network
from xvkd.nets.teachers.ftdnn import make_more_orthogonal


def by_loops(network, frames):
    """Every level of one utterance, each layer's output by the frame it stands for, as the literature defines it."""
    net = Reference(network)

    def splice(values, name, offsets):
        weight, bias = net.state[f"{name}.weight"], net.state.get(f"{name}.bias", 0)
        times = [t for t in values if all(t + offset in values for offset in offsets)]
        return {t: bias + sum(weight[:, :, i] @ values[t + o] for i, o in enumerate(offsets)) for t in times}

    def finish(values, name):
        return {t: net.norm(value.relu(), f"{name}.norm") for t, value in values.items()}

    x = dict(enumerate(frames.double()))
    outputs = {1: finish(splice(x, "frame_layers.0.affine", range(-2, 3)), "frame_layers.0")}
    skips = {7: [2, 4, 6], 9: [4, 6, 8]}
    for number, o in zip(range(2, 10), [2, 0, 3, 0, 3, 3, 3, 0], strict=True):
        name, below = f"frame_layers.{number - 1}", [outputs[i] for i in skips.get(number, [number - 1])]
        inputs = {t: torch.cat([values[t] for values in below]) for t in below[-1]}
        narrow = splice(inputs, f"{name}.factor", [-o, 0] if o else [0])
        outputs[number] = finish(splice(narrow, f"{name}.affine", [0, o] if o else [0]), name)
    outputs[10] = finish(splice(outputs[9], "frame_layers.9.affine", [0]), "frame_layers.9")
    levels = {f"frame{i}": torch.stack(list(values.values())).mean(0) for i, values in outputs.items()}
    last = torch.stack(list(outputs[10].values()))
    levels["frame"] = last.mean(0)
    levels["stats"] = torch.cat([last.mean(0), last.std(0, correction=0)])
    levels["segment6"] = net.affine(levels["stats"], "segment_layers.segment6")
    hidden = net.norm(levels["segment6"].relu(), "segment_norms.segment7")
    levels["segment7"] = net.affine(hidden, "segment_layers.segment7")
    return levels


@torch.no_grad()
def test_levels_are_what_they_are_defined_to_be():
    network = small_teacher("ftdnn")
    (frames,) = features_of(45)
    ours = network(frames[None], levels=list(network.levels))
    assert len(ours) == 14
    assert_levels(ours, by_loops(network, frames))


def error_of(weight):
    """How far the rows are from orthogonal ones of equal length: 0 where they are."""
    M = weight.detach().double().flatten(1)
    P = M @ M.T
    return float((P / (P.trace() / len(P)) - torch.eye(len(P))).norm() / len(P) ** 0.5)


def trained(constrained, steps=300):
    """The errors of all first factors after training on random frames and speakers."""
    torch.manual_seed(1)
    network = small_teacher("ftdnn").train()
    classifier = torch.nn.Linear(5, 4)
    optimiser = torch.optim.AdamW([*network.parameters(), *classifier.parameters()], lr=0.01)
    features, speakers = torch.randn(8, 40, FEATURES), torch.randint(4, (8,))
    for step in range(1, steps + 1):
        with torch.autocast("cpu", torch.bfloat16):
            logits = classifier(network(features)["segment7"]).float()
            loss = torch.nn.functional.cross_entropy(logits, speakers)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if constrained:
            network.constrain(step)
    return [error_of(layer.factor.weight) for layer in network.frame_layers[1:9]], float(loss.detach())


def test_first_factors_are_semi_orthogonal_while_the_network_learns():
    before = [error_of(layer.factor.weight) for layer in small_teacher("ftdnn").frame_layers[1:9]]
    (free, _), (held, loss) = trained(constrained=False), trained(constrained=True)
    assert min(before) > 0.1 and min(free) > 0.1
    assert max(held) < 0.05
    assert loss < 0.1


def test_every_fourth_step_constrains_the_first_factors_alone():
    network = small_teacher("ftdnn")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for step in (1, 2, 3, 5):
        network.constrain(step)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.constrain(4)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"frame_layers.{i}.factor.weight" for i in range(1, 9)}


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_the_step_converges_quadratically_whatever_the_scale(scale):
    """From far off, and to machine precision; under autocast too, since it is computed in float32."""
    torch.manual_seed(0)
    weight = scale * (torch.randn(16, 12, 2) + 0.5)
    errors = [error_of(weight)]
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(60):
            make_more_orthogonal(weight)
            errors.append(error_of(weight))
    assert errors[0] > 1 and errors[-1] < 1e-6
    near = [(a, b) for a, b in zip(errors, errors[1:], strict=False) if 1e-3 < a < 0.1]
    assert near and all(b < 4 * a**2 for a, b in near)


def test_the_step_does_not_change_how_large_the_weights_are():
    """It is orthogonal to the matrix, as the floating scale is meant to make it."""
    torch.manual_seed(0)
    weight = torch.randn(16, 40)
    moved = weight.clone()
    make_more_orthogonal(moved)
    assert (moved - weight).norm() > 0.1
    assert abs(float(((moved - weight) * weight).sum())) < 1e-3 * float((moved - weight).norm() * weight.norm())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("bottleneck", 7, "bottleneck: 7 is wider than the layers, 6"), ("segment_widths", [], "has 0 values"),
     ("segment_widths", [5, 5, 5], "has 3 values, expected 1 to 2"), ("width", 0, "width: 0 is impossible")],
)  # fmt: skip
def test_impossible_widths_are_told(key, value, message):
    with pytest.raises(UserError, match=rf"teacher.yaml: arch.*{message}"):
        build_network(BuildRecord(TEACHERS, "ftdnn", {**SMALL["ftdnn"], key: value}, 4, 0), "teacher.yaml")
