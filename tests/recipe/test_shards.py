"""The recipe with shards: made once, made again when what the network reads is another, and trained from."""

import re
from pathlib import Path

import pytest
from shell import ROOT, run

OPTIONS = [
    "--preset", "tiny", "--nj", "2", "--students", "label frame+segment6", "--reading", "shards", "--noisy-sets", "",
    "--durations", "", "--teacher-set", "training.epochs=2",
    "--corpus-set", " ".join(f"options.sets.{name}.speakers=4" for name in ("train", "dev", "eval")),
]  # fmt: skip


def start(root: Path, *options: str, status: int = 0) -> str:
    roots = ["--data-root", root / "data", "--exp-root", root / "exp"]
    done = run([ROOT / "run.sh", *OPTIONS, *roots, *options])
    assert done.returncode == status, done.stderr
    return done.stderr


def made(said: str) -> list[str]:
    """The shards that a run has made, not those that were up to date."""
    return re.findall(r"^\S+ (shards of .*)$", said, flags=re.MULTILINE)


@pytest.mark.parametrize("options, told", [
    (["--reading", "often"], "--reading 'often': there are random and shards"),
    (["--augmentation", "online"], "--reading shards: has no audio to augment on the fly"),
])  # fmt: skip
def test_impossible_options(tmp_path, options, told):
    assert told in start(tmp_path, *options, "--dry-run", status=1)


@pytest.mark.slow
def test_stages_four_to_six_read_shards(tmp_path):
    said = start(tmp_path, "--stop-stage", "6", "--student-set", "training.epochs=2")
    assert made(said) == ["shards of train, mfcc_cmn_voiced", "shards of train_copies, mfcc_cmn_voiced"]
    exp = tmp_path / "exp" / "tiny"
    for model in ("teacher_tdnn_tiny_s0", "student_tdnn16_tdnn_tiny_frame+segment6_mse_s0"):
        assert (exp / model / "model.safetensors").exists()
        assert "reading: shards" in (exp / model / "config.yaml").read_text()
    last = ["--stage", "3", "--stop-stage", "3"]
    assert not made(start(tmp_path, *last))
    # The student reads what is normalised otherwise, the teacher what it did.
    other = ["--student-set", "input.cmn_window=100"]
    first, second = made(start(tmp_path, *last, *other))
    assert re.fullmatch(r"shards of train, mfcc_cmn_voiced_[0-9a-f]{8}", first) and "train_copies" in second
    # A shard that is lost is made again; so are all when the features are.
    lost = tmp_path / "data/tiny/train/shards/mfcc_cmn_voiced/inputs.1.1.ark"
    lost.unlink()
    assert made(start(tmp_path, *last)) == [f"shards of train, mfcc_cmn_voiced ({lost} is missing)"]
    (tmp_path / "data/tiny/train/.done.feats").unlink()
    again = made(start(tmp_path, *last))
    assert [line.partition(" (")[0] for line in again] == [
        "shards of train, mfcc_cmn_voiced", "shards of train_copies, mfcc_cmn_voiced",
    ]  # fmt: skip
