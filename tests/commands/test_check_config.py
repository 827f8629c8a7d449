"""What check_config.py finds out about a run's students before their teacher is trained."""

import pytest
from shell import ROOT, run

CONFIGURATION = [
    "--corpus", "conf/corpora/tiny.yaml", "--teacher", "conf/teachers/tdnn_tiny.yaml",
    "--student", "conf/students/tdnn16.yaml", "--teacher-name", "tdnn_tiny",
]  # fmt: skip


def check(levels, loss):
    distil = ["--distil", levels, f"conf/losses/{loss}.yaml"]
    return run(["python3", "pyscripts/check_config.py", *CONFIGURATION, *distil], cwd=ROOT)


@pytest.mark.parametrize(
    ("levels", "loss"),
    [
        ("segment7", "kl"), ("tdnn_tiny:frame+segment6", "mse"), ("segment6+frame.sequence", "loop_mse"),
        ("ecapa:x", "mse"),
    ],
)  # fmt: skip
def test_students_that_can_be_trained(levels, loss):
    """Levels of other teachers are for stage 6 to find."""
    done = check(levels, loss)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("levels", "loss", "told"),
    [
        ("frame9", "mse", "--students frame9: conf/teachers/tdnn_tiny.yaml has no level 'frame9' (there are: frame1,"),
        ("segment6", "kl", "kl reads the posteriors of conf/teachers/tdnn_tiny.yaml from its level 'segment7'"),
        ("frame+segment7", "kl", "kl alone reads 'segment7' and no other level"),
        ("segment6+frame.sequence", "mse", "'frame.sequence' is never dumped; choose a loss with source: loop"),
    ],
)
def test_students_that_cannot(levels, loss, told):
    done = check(levels, loss)
    assert done.returncode == 1 and told in done.stderr
