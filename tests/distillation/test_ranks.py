"""Students that several ranks train: what looks across a batch sees the whole of it."""

import sys

import pytest
import torch
from shell import ROOT, run
from student_files import write_data, write_embeddings

from xvkd.nets.models import load_model


@pytest.fixture
def as_ranks():
    """Runs the last command of the fixture ``train`` again, as two ranks; returns the student and its record."""

    def start(folder):
        words = [*sys.argv[1:-1], folder]
        command = [sys.executable, ROOT / "pyscripts" / "run_ranks.py", "--ranks", "2"]
        done = run([*command, ROOT / "pyscripts" / "train_student.py", *words], PYTHONPATH=str(ROOT / "pyscripts"))
        assert done.returncode == 0, done.stderr
        return load_model(folder)

    return start


def assert_alike(one, other):
    """Two students, of whom the log and the record say the same."""
    (network, record), (found, again) = one, other
    expected = network.state_dict()
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-3 * float(expected[name].abs().max()))
    assert record == again


@pytest.mark.slow
def test_relations_and_a_share_of_labels(train, teacher, write_loss, tmp_path, as_ranks):
    """Half of the utterances have no label, in some batches all."""
    names = [f"x-{number:02d}" for number in range(12)]
    strangers = write_data(tmp_path / "more", names, seed=2)
    write_embeddings(teacher / "embeddings" / "more", seed=2, utterances=names)
    loss = write_loss(terms="{mse: 1.0, relational: 5.0}", label_weight=0.3)
    one = train("frame+segment6", loss, changes=["training.batch_size=3"], more=["--unlabelled-dir", strangers])
    assert_alike(one, as_ranks(tmp_path / "ranks"))


@pytest.mark.slow
def test_a_teacher_in_the_loop(train, trained, write_loss, tmp_path, as_ranks):
    """Its posteriors, and a level frame by frame, whose targets are normalised over the batch."""
    loss = write_loss(terms="{mse: 1.0, kl: 1.0}", source="loop", label_weight=0.2, head_dim=6)
    one = train("segment7+frame.sequence", loss, teachers=[trained()], chunk=30, changes=["training.batch_size=5"])
    assert_alike(one, as_ranks(tmp_path / "ranks"))
