"""evaluate_scores.py as users run it: what Kaldi's programs print of Kaldi's scores, or one clear sentence."""

import re

import pytest
from backend_files import command
from shell import ROOT

PRIORS = "--p-targets=[0.01, 0.05]"


@pytest.fixture
def small(tmp_path):
    """Three targets and four nontargets, one of each on the wrong side; scores in another order."""
    (tmp_path / "trials").write_text("".join(
        f"m{row % 2} t{row} {label}\n" for row, label in enumerate(["target"] * 3 + ["nontarget"] * 4)
    ))  # fmt: skip
    scores = [3.0, 2.0, -1.0, -3.0, -2.5, -2.0, 2.5]
    lines = [f"m{row % 2} t{row} {score}\n" for row, score in enumerate(scores)]
    (tmp_path / "scores").write_text("".join(reversed(lines)))
    return tmp_path


@pytest.mark.parametrize("name", ["numutts", "nonumutts", "numutts_noln", "numutts_adapt_default", "utt", "utt_cosine"])
def test_figures_are_kaldis_to_the_printed_digit(oracle, name):
    folder = oracle / "plda"
    trials = folder / ("trials_utt" if name.startswith("utt") else "trials")
    printed = command("evaluate_scores.py", PRIORS, trials, folder / f"scores_{name}").stdout.splitlines()
    line = next(x for x in (folder / "metrics.txt").read_text().splitlines() if x.startswith(f"scores_{name} "))
    rate, threshold = re.search(r"EER% (\S+) \| at threshold (\S+)", line).groups()
    assert printed[0] == f"EER {rate} % at threshold {threshold}"
    found = re.findall(r"minDCF is (\S+) at threshold (\S+) \(p-target=([^,]+),", line)
    assert printed[1:] == [f"minDCF({prior}) {cost} at threshold {threshold}" for cost, threshold, prior in found]
    assert len(found) == 2


def test_scores_in_any_order_by_hand(small):
    """At -1 a third of the targets are missed and a quarter of the nontargets accepted."""
    done = command("evaluate_scores.py", small / "trials", small / "scores")
    # One nontarget costs 99 times its share, so all but the highest target are rejected.
    assert done.stdout == "EER 33.33 % at threshold 2\nminDCF(0.01) 0.6667 at threshold 2.5000\n"
    config = ROOT / "conf" / "evaluation.yaml"
    done = command("evaluate_scores.py", "--config", config, "--c-miss=100", small / "trials", small / "scores")
    assert re.findall(r"minDCF\((\S+)\)", done.stdout) == ["0.01", "0.05"]
    piped = command("evaluate_scores.py", "--allow-pipes", small / "trials", f"sort {small}/scores |")
    assert piped.stdout.startswith("EER 33.33 %")


def test_trials_without_scores_are_refused_or_left_out(small):
    lines = (small / "scores").read_text().splitlines(True)
    (small / "scores").write_text("".join(lines[2:]) + "m9 t9 7\n")
    message = "scores: no score for 2 of the 7 trials of .*trials, the first of them 'm1 t5'"
    assert_error(message, small / "trials", small / "scores")
    done = command("evaluate_scores.py", "--skip-missing", small / "trials", small / "scores")
    assert re.search(f"warning: .*{message}; they are left out", done.stderr)
    # The nontarget that scored too high is one of those left out.
    assert done.stdout.startswith("EER 0 % at threshold -1\n")


def test_what_cannot_be_used_is_told(small):
    trials, scores, other = small / "trials", small / "scores", small / "other"
    for text, message in [
        ("", "other: no 'enrolment test score' lines; the file is empty"),
        ("m0 t0 nan\n", "other, line 1: expected 'enrolment test score', got 'm0 t0 nan'"),
        ("m0 t0 1 2\n", "other, line 1: expected"),
        (scores.read_text() + "m0 t0 1\n", "other: 'm0 t0' has two different scores"),
    ]:
        other.write_text(text)
        assert_error(message, trials, other)
    other.write_text("m0 t0 target\nm1 t1 target\n")
    assert_error("scores: no nontarget scores", other, scores)
    assert_error("p_targets: 2.0 is impossible", "--p-targets=[2.0]", trials, scores)
    assert_error("nowhere: cannot be opened", trials, small / "nowhere")


def assert_error(message, *arguments):
    done = command("evaluate_scores.py", *arguments, status=1)
    assert re.search(message, done.stderr.splitlines()[-1]) and not done.stdout, done.stderr


def test_help_names_kaldis_programs():
    text = command("evaluate_scores.py", "--help").stdout
    assert "compute-eer" in text and "compute_min_dcf.py" in text
