"""Losses by their formulas."""

import numpy as np
import pytest
import torch

from xvkd import config
from xvkd.distillation.config import LossConfig
from xvkd.distillation.losses import kl, relational
from xvkd.errors import UserError
from xvkd.registry import find, names


def test_relational_by_hand():
    """Student and target may differ in dimension and in scale: only who is like whom counts."""
    student = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    target = torch.tensor([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    # Cosines of the pairs 12, 13, 23: 0, 1/sqrt(2), 1/sqrt(2) and 1, 0, 0.
    assert relational.loss(student, target).item() == pytest.approx((1 + 0.5 + 0.5) / 3)
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    assert relational.loss(7 * target @ rotation, target).item() == pytest.approx(0, abs=1e-12)
    with pytest.raises(UserError, match="loss relational: compares utterances of a batch, and there is one only"):
        relational.loss(student[:1], target[:1])


def test_relational_has_a_gradient_and_keeps_its_precision():
    torch.manual_seed(0)
    student, target = torch.randn(6, 5, requires_grad=True), torch.randn(6, 9)
    exact = relational.loss(student, target)
    exact.backward()
    assert torch.isfinite(student.grad).all() and student.grad.abs().max() > 1e-3
    with torch.autocast("cpu", torch.bfloat16):
        assert relational.loss(student, target).item() == pytest.approx(exact.item(), rel=1e-6)


def test_kl_by_hand():
    student = torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.0]])
    target = torch.tensor([[1.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    q, p = (torch.exp(x.double()) / torch.exp(x.double()).sum(dim=1, keepdim=True) for x in (student, target))
    assert kl.loss(student, target).item() == pytest.approx((p * (p / q).log()).sum().item() / 2, rel=1e-6)
    assert kl.loss(target + 5, target).item() == pytest.approx(0, abs=1e-6)


def test_each_loss_says_what_it_compares():
    compared = {name: find("xvkd.distillation.losses", name).COMPARES for name in names("xvkd.distillation.losses")}
    assert compared == {
        "cosine": "coordinates", "mse": "coordinates", "relational": "similarities", "kl": "posteriors",
    }  # fmt: skip


def test_configured_losses(conf):
    """Each file can be read; what a file adds to mse.yaml is all that it has."""
    found = {path.stem: config.load(LossConfig, path) for path in (conf / "losses").glob("*.yaml")}
    assert found["cosine"].terms == {"cosine": 1.0} and found["both"].terms == {"mse": 1.0, "cosine": 1.0}
    assert found["lda_cosine"].projection == "lda" and found["lda_cosine"].terms == {"cosine": 1.0}
    assert found["clean_lda_cosine"].clean_targets and found["loop_mse"].source == "loop"


def test_an_option_that_is_off_is_as_if_there_were_none(conf):
    """A student that was trained before an option came is not trained again."""
    before = {
        "terms": {"mse": 1.0}, "level_weights": {"default": 1.0}, "projection": "none", "projection_dim": 0,
        "length_normalise": False,
    }  # fmt: skip
    path = conf / "losses" / "mse.yaml"
    assert config.load(LossConfig, path).in_force() == before
    assert config.load(LossConfig, path, ["temperature=3"]).in_force() == before
    for change in ("joint=false", "label_weight=0.1", "head_dim=4", "clean_targets=true", "source=loop"):
        assert config.load(LossConfig, path, [change]).in_force() != before
    kinds = [config.load(LossConfig, conf / "losses" / "kl.yaml", [f"temperature={t}"]).in_force() for t in (1, 2)]
    assert kinds[0] != kinds[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["label_weight=1"], "label_weight: 1 leaves nothing to distil"),
        (["label_weight=1.5"], "label_weight: 1.5 is impossible"),
        (["temperature=0"], "temperature: 0.0 is impossible"),
        (["source=online"], "source: online is impossible .*one of dumped, loop"),
        (["source=loop", "clean_targets=true"], "clean_targets: true is impossible with source: loop"),
    ],
)
def test_impossible_options_are_told(conf, changes, message):
    with pytest.raises(UserError, match=message):
        config.load(LossConfig, conf / "losses" / "mse.yaml", changes)


def test_the_weight_of_a_level(conf):
    path = conf / "losses" / "mse.yaml"
    loss = config.load(LossConfig, path, ["level_weights={default: 0.5, frame: 2, 'b:frame': 3}"])
    weights = [loss.weight_of(level) for level in ("frame", "a:frame", "b:frame", "stats", "b:stats")]
    np.testing.assert_allclose(weights, [2, 2, 3, 0.5, 0.5])
