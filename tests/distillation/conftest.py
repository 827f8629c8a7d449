"""What the tests of the command train_student share."""

import sys

import pytest
from student_files import write_data, write_embeddings

import extract_embeddings
import train_student
import train_teacher
from xvkd.nets.models import TEACHERS, BuildRecord, build_network, finish_model, load_model


@pytest.fixture
def teacher(tmp_path):
    """A teacher that nobody has trained, and its embeddings."""
    folder = tmp_path / "teacher_small_s0"
    write_embeddings(folder / "embeddings" / "train")
    arch = {"frame_widths": [6, 6, 6, 6, 8], "segment_widths": [5, 5]}
    record = BuildRecord(TEACHERS, "tdnn", arch, 30, 0)
    finish_model(folder, build_network(record, "teacher"), record, {"role": "teacher"})
    return folder


@pytest.fixture
def data(tmp_path):
    return write_data(tmp_path / "train")


@pytest.fixture
def trained(conf, data, tmp_path, monkeypatch):
    """A teacher of these data, of any objective, and what stage 5 dumps of it; returns its folder."""

    def run(name="teacher_real_s0", objective="softmax", seed=0):
        words = ["train_teacher.py", "--config", conf / "teachers" / "tdnn.yaml", "--data-dir", data, "--seed", seed]
        for change in ["arch.frame_widths=[6,6,6,6,8]", "arch.segment_widths=[5,5]", "training.epochs=2",
                       "training.batch_size=6", "training.chunk_frames=30", "training.precision=float32",
                       f"objective={objective}"]:  # fmt: skip
            words += ["--set", change]
        monkeypatch.setattr(sys, "argv", [*map(str, words), str(tmp_path / name)])
        train_teacher.main()
        folder = tmp_path / name / "embeddings" / "train"
        words = ["x", "--config", conf / "extraction.yaml", "--model", tmp_path / name]
        words += ["--levels", "all+stats2", data, folder]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        extract_embeddings.main()
        return tmp_path / name

    return run


@pytest.fixture
def train(conf, teacher, data, tmp_path, monkeypatch):
    """Runs the command; returns the student and its record."""

    def run(
        levels, loss="mse", folder="student", *, epochs=2, width=8, rate=0.002, init=None, more=(), teachers=None,
        chunk=20, changes=(),
    ):  # fmt: skip
        words = ["--config", str(conf / "students" / "tdnn152.yaml"), "--data-dir", str(data), "--seed", "0"]
        words += ["--init-model", str(tmp_path / init)] if init else []
        for change in [f"arch.width={width}", f"training.learning_rate={rate}", f"training.epochs={epochs}",
                       "training.batch_size=6", f"training.chunk_frames={chunk}", "training.precision=float32",
                       *changes]:  # fmt: skip
            words += ["--set", change]
        words += [word for given in teachers or [teacher] for word in ("--teacher", str(given))]
        words += ["--levels", levels, *map(str, more)]
        if loss:
            words += ["--loss", str(conf / "losses" / f"{loss}.yaml" if isinstance(loss, str) else loss)]
        monkeypatch.setattr(sys, "argv", ["train_student.py", *words, str(tmp_path / folder)])
        train_student.main()
        return load_model(tmp_path / folder)

    return run


@pytest.fixture
def write_loss(conf, tmp_path):
    """Writes a loss that stands on mse.yaml, with these keys."""

    def write(name="changed", **keys):
        text = (conf / "losses" / "mse.yaml").read_text()
        (tmp_path / "mse.yaml").write_text(text)
        path = tmp_path / f"{name}.yaml"
        path.write_text("base: mse\n" + "".join(f"{key}: {value}\n" for key, value in keys.items()))
        return path

    return write
