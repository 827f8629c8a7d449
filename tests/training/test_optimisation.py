"""The learning rate's way: torch's own for one-cycle, and from the first step to the last for the others."""

import pytest
import torch

from xvkd.training.optimisation import Schedule, make_optimiser


def way(config, steps, peak=0.1):
    """Learning rate, and AdamW's first beta, of each step."""
    optimiser = make_optimiser([torch.nn.Parameter(torch.ones(1))], config)
    schedule = Schedule(optimiser, config, peak, steps)
    found = []
    for step in range(steps):
        schedule.set(step)
        group = optimiser.param_groups[0]
        assert schedule.learning_rate == group["lr"]
        found.append((group["lr"], group.get("betas", (None,))[0]))
    return found


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.2), (37, 0.3), (9, 0.2), (50, 0.9)])
def test_one_cycle_is_that_of_torch(make_config, steps, warmup):
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=steps, pct_start=warmup)
    for rate, beta in way(make_config(warmup=warmup), steps):
        group = optimiser.param_groups[0]
        assert (rate, beta) == pytest.approx((group["lr"], group["betas"][0]), rel=1e-9)
        optimiser.step()
        schedule.step()


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "exponential"])
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.2), (2, 0.5), (5, 0.2), (5, 0.0), (5, 1.0)])
def test_short_trainings_have_a_schedule_too(make_config, schedule, steps, warmup):
    """Also with a warm-up of exactly one step, at which torch's one-cycle divides by zero."""
    rates = [rate for rate, _ in way(make_config(schedule=schedule, warmup=warmup), steps)]
    assert all(0 < rate <= 0.1 for rate in rates) and max(rates) == pytest.approx(0.1)


@pytest.mark.parametrize("schedule", ["cosine", "exponential"])
def test_linear_warm_up_then_decay_to_the_last_share(make_config, schedule):
    rates = [rate for rate, _ in way(make_config(schedule=schedule, warmup=0.2, final_share=0.01), 101)]
    top = rates.index(max(rates))
    assert top in (19, 20) and rates[-1] == pytest.approx(0.001)
    assert all(a < b for a, b in zip(rates[:top], rates[1 : top + 1], strict=True))
    assert all(a > b for a, b in zip(rates[top:-1], rates[top + 1 :], strict=True))
    rises = [b - a for a, b in zip(rates[: top - 1], rates[1:top], strict=True)]
    assert max(rises) == pytest.approx(min(rises))
    middle = rates[(top + 100) // 2]
    assert middle == pytest.approx({"cosine": 0.0505, "exponential": 0.01}[schedule], rel=0.05)


def test_momentum_moves_with_adamw_only(make_config):
    assert len({beta for _, beta in way(make_config(), 20)}) > 10
    assert len({beta for _, beta in way(make_config(schedule="cosine"), 20)}) == 1
    group = make_optimiser([torch.nn.Parameter(torch.ones(1))], make_config(optimiser="sgd")).param_groups[0]
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, True, 0.01)
