"""benchmarks/claims.sh: every cell has options that run.sh takes; widths are those that the teachers' YAML names."""

import re

import pytest
from shell import ROOT, run

CELLS = {
    "small": {"tdnn_half": 9, "etdnn_half": 7, "more_data": 3, "redimnet": 4},
    "full": {
        "tdnn": 14, "etdnn": 9, "ftdnn": 9, "ecapa512": 8, "ecapa1024": 8, "resnet34": 8, "more_data": 5, "redimnet": 4,
    },
    "real": {"tdnn_half": 6, "etdnn_half": 4, "with_synthetic": 6, "redimnet": 4},
}


def claims(*options):
    return run([ROOT / "benchmarks" / "claims.sh", *options])


@pytest.mark.parametrize("setting", ["small", "real", pytest.param("full", marks=pytest.mark.slow)])
def test_every_cell_can_be_run(setting, tmp_path):
    """Of the students of a dry run; those that have been trained already are up to date."""
    where = [tmp_path] if setting == "real" else []
    for cell, students in CELLS[setting].items():
        done = claims("--dry-run", "--seeds", "7", "--folds", "0", "--cells", cell, setting, *where)
        assert done.returncode == 0, done.stderr
        named = re.findall(r"(?:train|up to date:) the student of .*", done.stdout + done.stderr)
        assert len(named) == students, (cell, named)


def test_widths_are_those_that_the_teachers_name():
    script = (ROOT / "benchmarks" / "claims.sh").read_text()
    widths = dict(re.findall(r"(\w+)\) echo (\d+) ;;", script))
    assert len(widths) == 8
    for teacher, width in widths.items():
        about = (ROOT / "conf" / "teachers" / f"{teacher}.yaml").read_text()
        assert re.search(r"A student of width (\d+)", about).group(1) == width


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["middle"], "'middle': no such setting (there are: small full real; see --help)"),
        (["--cells", "resnet", "small"], "--cells 'resnet': no such cell of small"),
        (["real"], "real: the folder of real speech is missing"),
        (["real", "/nowhere"], "'/nowhere': no such folder; give that of real speech"),
        (["--sedes", "1", "small"], "--sedes: unknown option"),
    ],
)
def test_mistakes_are_told(options, message):
    done = claims(*options)
    assert done.returncode == 1 and message in done.stderr


def test_help():
    done = claims("--help")
    assert done.returncode == 0 and "usage: benchmarks/claims.sh [options] small" in done.stdout
