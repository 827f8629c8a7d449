"""Progress lines: seldom, always at the end, right about the time left, and readable for the launcher."""

import logging
import runpy

import pytest

from xvkd import progress
from xvkd.progress import SECONDS_BETWEEN_LINES, Progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO)
    return lambda: caplog.messages


def test_lines_are_seldom_and_the_last_always_comes(clock, lines):
    counter = Progress(100, "utterances")
    for _ in range(100):
        clock.now += SECONDS_BETWEEN_LINES / 40
        counter.update()
    assert lines() == [
        "progress 40/100 utterances, 00:07 left", "progress 80/100 utterances, 00:02 left",
        "progress 100/100 utterances, 00:00 left",
    ]  # fmt: skip


def test_a_short_piece_of_work_says_its_end_alone(clock, lines):
    counter = Progress(2, "speakers")
    counter.update()
    counter.update()
    assert lines() == ["progress 2/2 speakers, 00:00 left"]


def test_earlier_work_and_warming_up_do_not_count_for_the_speed(clock, lines):
    counter = Progress(1000, "steps")
    counter.resume(900)
    clock.now += 100
    counter.update(10)
    clock.now += 10
    counter.update(10, "epoch 3, loss 0.25")
    assert lines() == ["progress 920/1000 steps, 01:20 left, epoch 3, loss 0.25"]


def test_the_launcher_reads_the_lines(clock, lines, conf):
    launcher = runpy.run_path(str(conf.parent / "local" / "launch" / "launching.py"))
    counter = Progress(50000, "steps")
    counter.update(10)
    clock.now += 10
    counter.update(10, "epoch 1, loss 4.5")
    match = launcher["PROGRESS"].search(f"2024-01-01 12:00:00 {lines()[0]}")
    assert match and match.groups() == ("20", "50000", "steps", "13:53:00", ", epoch 1, loss 4.5")
