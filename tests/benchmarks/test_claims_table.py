"""The table of the claims: a row a system, verdict lines, what is missing, the figure; the same text every time."""

import sys

import claims_table
import pytest
from claims_files import write_experiment, write_student

from xvkd import cli


@pytest.fixture
def table(tmp_path, monkeypatch, capsys):
    """What the command prints about ``tmp_path``."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["claims_table.py", *map(str, arguments)])
        cli.run(claims_table.main)
        return capsys.readouterr().out

    return run


def test_two_teachers_and_further_speakers(tmp_path, table):
    write_experiment(tmp_path / "a" / "synthetic", further=4.0)
    write_experiment(tmp_path / "b" / "synthetic", name="u", frame=6.0)
    arguments = ["small", tmp_path, "a", "b", "more_data"]
    text = table(*arguments)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + (5 + 1) + 5 and len({len(row) for row in rows}) == 1
    assert rows[1][:6] == ["| a", "teacher t", "stats (best on dev)", "softmax", "3", "700,000"]
    further = next(row for row in rows if "mse, further speakers" in row)
    assert further[:3] == ["| a", "student w", "frame4+frame+segment6"] and further[7] == "92 %"
    assert further[8].startswith("4.00 [") and further[9].startswith("0.800 [")
    verdicts = [line for line in text.splitlines() if line.startswith("- ")]
    # Claims 1 to 3 of two teachers, claim 4, three targets of each, five of further speakers; on two lists.
    assert len(verdicts) == 2 * (6 + 1 + 6 + 5)
    assert "carries over to other x-vector variants (eval): does not hold: b: claim 1 does not hold" in text
    assert "missing" not in text
    assert table(*arguments) == text


def test_what_is_missing_is_listed_and_the_rest_shown(tmp_path, table):
    write_experiment(tmp_path / "a" / "synthetic", seeds=(0, 2))
    write_student(tmp_path / "a" / "synthetic", 0, ["stats"], 5.0)
    write_student(tmp_path / "a" / "synthetic", 0, ["segment6"], 4.0, network="redimnet8")
    text = table("small", tmp_path, "a", "b", "more_data", "redimnet")
    missing = [line for line in text.splitlines() if line.startswith("- missing: ")]
    everything = ": synthetic, seed 0; synthetic, seed 1; synthetic, seed 2"
    assert missing == [
        "- missing: a: synthetic, seed 1", "- missing: a, stats (mse): synthetic, seed 2",
        f"- missing: b{everything}", f"- missing: more_data{everything}",
        "- missing: redimnet: synthetic, seed 1; synthetic, seed 2",
    ]  # fmt: skip
    assert "(eval): not shown: no other variant was trained" in text
    assert "4.50 [" in text and "holds:" not in text.replace("does not hold:", "")


def test_folds_of_real_speech(tmp_path, table):
    for fold in range(5):
        write_experiment(tmp_path / "a" / f"fold{fold}", label=5.2)
    text = table("real", tmp_path, "a")
    assert "| a | teacher t | stats (best on dev) | softmax | 15 |" in text
    assert "target, 10 % better than the label-only twin (a, eval): holds" in text and "missing" not in text


def test_nothing_at_all_is_an_error(tmp_path, table):
    with pytest.raises(SystemExit, match="nothing has been scored in it; run benchmarks/claims.sh small"):
        table("small", tmp_path, "a")


def test_the_figure_is_the_same_every_time(tmp_path, table):
    pytest.importorskip("matplotlib", reason="the figure needs matplotlib")
    write_experiment(tmp_path / "a" / "synthetic", further=4.0)
    images = []
    for name in ("one.png", "two.png"):
        text = table("--figure", tmp_path / name, "small", tmp_path, "a")
        assert text.endswith(f"![EER by deployed parameters]({name})\n")
        images.append((tmp_path / name).read_bytes())
    assert images[0] == images[1] and images[0].startswith(b"\x89PNG")
