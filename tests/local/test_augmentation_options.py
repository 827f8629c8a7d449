"""What the options of augmentation make of a run, and what they cannot be."""

import re

import pytest
from shell import ROOT, run


@pytest.fixture
def recipe(tmp_path):
    def start(*options, status=0, script="run.sh"):
        always = ["--preset", "tiny", "--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp"]
        done = run([ROOT / script, *always, *options])
        assert done.returncode == status, done.stderr
        return done

    return start


@pytest.mark.parametrize("options, told", [
    (["--augmentation", "loud"], r"--augmentation 'loud': no such file .*copies eval_noisy kaldi none online"),
    (["--speed-factors", "fast"], "--speed-factors 'fast': expected numbers"),
    (["--noisy-sets", "train"], "--noisy-sets 'train': expected sets to test on"),
])  # fmt: skip
def test_impossible_options(recipe, options, told):
    assert re.search(told, recipe(*options, "--dry-run", status=1).stderr)


@pytest.mark.parametrize("options, copies, folder", [
    ([], ["train_copies", "eval_noisy"], "tiny"),
    (["--augmentation", "none"], ["eval_noisy"], "tiny-none"),
    (["--augmentation", "none", "--noisy-sets", ""], [], "tiny-none"),
    (["--noisy-sets", "dev eval", "--speed-factors", "0.9 1.1"],
     ["train_sp", "train_copies", "dev_noisy", "eval_noisy"], "tiny-sp"),
    (["--augmentation", "online"], ["eval_noisy"], "tiny-online"),
])  # fmt: skip
def test_sets_of_a_run(recipe, options, copies, folder):
    done = recipe(*options, "--dry-run", "--stop-stage", "5")
    assert re.findall(r"copies: (\w+), of", done.stderr) == copies
    assert set(copies) <= set(re.findall(r"features of (\w+)$", done.stderr, flags=re.MULTILINE))
    assert f"exp/{folder}/teacher_" in done.stdout
    assert ("--augmentation conf/augmentation/online.yaml" in done.stdout) == ("online" in options)


@pytest.mark.parametrize("options, copies", [
    ([], ["train_copies"]),
    (["--backend-copies", "false"], []),
    (["--augmentation", "none"], []),
    (["--speed-factors", "0.9"], ["train_sp", "train_copies"]),
])  # fmt: skip
@pytest.mark.parametrize("students", ["label", ""])
def test_back_ends_learn_from_copies(recipe, options, copies, students):
    done = recipe(*options, "--students", students, "--dry-run", "--stage", "5", "--stop-stage", "8")
    for line in (line for line in done.stdout.splitlines() if "train_backend.py" in line):
        assert re.findall(r"--further scp:\S*/embeddings/(\w+)/\S+ \S*/\1/utt2spk", line) == copies
    extracted = set(re.findall(r"extract_embeddings.py .*/embeddings/(train_\w+)", done.stdout))
    assert extracted == (set(copies) if not students else extracted | set(copies))


def write_set(folder, features):
    (folder / "manifests").mkdir(parents=True)
    (folder / "utt2spk").write_text("a-1 a\n")
    if features:
        (folder / "given").mkdir()
        (folder / "given" / "feats.scp").write_text("a-1 x.ark:4\n")


@pytest.mark.parametrize("features", [True, False])
def test_a_set_without_audio_is_not_augmented(recipe, tmp_path, features):
    """Unless it was asked for: then that is an error."""
    for name in ("train", "dev", "eval"):
        write_set(tmp_path / "data" / "tiny" / name, features)
    old = tmp_path / "data" / "tiny" / "train_copies"
    write_set(old, False)
    (old / ".augmented").write_text("train\n")
    stage = "local/stage_02_augmentation.sh"
    done = recipe(script=stage)
    why = "its features are given" if features else "it has no audio that Lhotse can describe"
    assert f"train: not augmented: {why}" in done.stderr and f"eval: not augmented: {why}" in done.stderr
    assert "nothing to do" in done.stderr and not old.exists()
    done = recipe("--augmentation", "copies", script=stage, status=1)
    assert re.search(rf"--augmentation: .*/train cannot be augmented: {why}", done.stderr)
