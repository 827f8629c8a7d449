"""Recordings that turn out to be unusable when they are read: told all at once, or left out if the user says so."""

import re

import numpy as np
import pytest
import soundfile
from shell import ROOT, run

RATE = 16000
SPEAKERS = [f"s{number}" for number in range(12)]


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """A folder corpus of 12 speakers with 4 noises each, of which 2 cannot be used though their headers say nothing."""
    root = tmp_path_factory.mktemp("speech")
    random = np.random.default_rng(0)
    for speaker in SPEAKERS:
        (root / speaker).mkdir()
        colour = random.normal(size=16)
        for number in range(4):
            noise = np.convolve(random.normal(size=RATE), colour, mode="same")
            noise *= 0.02 * (1 + np.sin(np.arange(RATE) / 800))
            soundfile.write(root / speaker / f"{number}.flac", noise, RATE)
    damaged = bytearray((root / "s3" / "1.flac").read_bytes())
    damaged[len(damaged) // 3 :] = bytes(len(damaged) - len(damaged) // 3)
    (root / "s3" / "1.flac").write_bytes(damaged)
    soundfile.write(root / "s5" / "2.flac", np.zeros(RATE), RATE)
    return root


@pytest.fixture(scope="module")
def recipe(speech, tmp_path_factory):
    """Runs the recipe on it."""
    there = tmp_path_factory.mktemp("there")

    def start(*options, status=0):
        done = run([
            ROOT / "run.sh", "--preset", "tiny", "--audio", speech, "--students", "frame", "--nj", "2",
            "--teacher-set", "training.epochs=1", "--student-set", "training.epochs=1",
            "--data-root", there / "data", "--exp-root", there / "exp", *options,
        ])  # fmt: skip
        assert done.returncode == status, done.stderr
        return done

    return there, start


def test_all_are_told_and_nothing_goes_on(recipe):
    there, start = recipe
    done = start("--stop-stage", "3", status=1)
    found = re.findall(r"(\d+) utterances have no features or no voiced frame \((.*?)\): mend or remove", done.stderr)
    assert len(found) == 1, done.stderr
    assert re.search(r"warning: .*1\.flac: cannot be read as audio|warning: .*2' has no voiced frame", done.stderr)
    assert "with --max-bad-utts" in done.stderr and "Traceback" not in done.stderr


def test_one_too_many(recipe):
    assert "--max-bad-utts 2" in recipe[1]("--stop-stage", "3", "--max-bad-utts", "1", status=1).stderr


def test_they_are_left_out_counted_and_listed(recipe):
    there, start = recipe
    done = start("--max-bad-utts", "2")
    data = there / "data" / "folder"
    listed = {line for path in data.glob("*/bad_utts") for line in path.read_text().split()}
    assert listed == {"s3-1", "s5-2"}
    # Their copies are left out as well, but are no further mistakes.
    own = [path for path in data.glob("*/bad_utts") if not (path.parent / ".augmented").exists()]
    assert len(re.findall(r" utterances are left out, listed in ", done.stderr)) == len(own)
    assert "s5-2 " not in (data / "eval_noisy" / "vad.scp").read_text()
    for name in ("train", "dev", "eval"):
        for scp in ("feats.scp", "vad.scp"):
            assert "s3-1 " not in (data / name / scp).read_text()
        assert "s5-2 " not in (data / name / "vad.scp").read_text()
    # What could be used is scored, and only that.
    for path in (there / "exp" / "folder").glob("*/scores/*/*.plda.txt"):
        scored = {word for line in path.read_text().splitlines() for word in line.split()[:2]}
        assert scored and not scored & listed
    # With as many or more, there is nothing to do.
    again = start("--max-bad-utts", "3", "--stage", "3")
    assert not re.findall(r"changed since|is missing", again.stderr)
