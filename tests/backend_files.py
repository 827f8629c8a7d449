"""What the tests of the back end's commands share: small Kaldi files, and how the commands are run."""

from pathlib import Path

import kaldiio
import numpy as np
from shell import ROOT, run


def command(name, *arguments, status=0, **changes):
    """Runs ``pyscripts/<name>`` as a user does; stderr of an error is one line."""
    done = run(["python3", ROOT / "pyscripts" / name, *arguments], PYTHONPATH=str(ROOT / "pyscripts"), **changes)
    assert done.returncode == status, done.stderr
    if status:
        assert "Traceback" not in done.stderr and f"{name}: error: " in done.stderr.splitlines()[-1]
    return done


def write_table(path: Path, keys, vectors) -> str:
    """Writes vectors as an archive and its script; returns the script's specifier."""
    arrays = {key: np.asarray(vector, np.float32) for key, vector in zip(keys, vectors, strict=True)}
    kaldiio.save_ark(str(path), arrays, scp=f"{path}.scp")
    return f"scp:{path}.scp"


def read_table(path: Path) -> tuple[list[str], np.ndarray]:
    """The keys and vectors of an archive, read by kaldiio."""
    table = dict(kaldiio.load_ark(str(path)))
    return list(table), np.stack(list(table.values())).astype(np.float64)


def kaldis_backend(golden: Path, folder: Path) -> Path:
    """A folder with the back end that Kaldi trained, under the names that we give it."""
    folder.mkdir()
    for name, ours in (("mean.vec", "mean.vec"), ("transform.txt", "transform.mat"), ("plda", "plda")):
        (folder / ours).write_bytes((golden / "kaldi" / name).read_bytes())
    return folder


def scores_of(path: Path) -> tuple[list[list[str]], np.ndarray]:
    """The pairs of a score file and their scores."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return [line[:2] for line in lines], np.array([float(line[2]) for line in lines])
