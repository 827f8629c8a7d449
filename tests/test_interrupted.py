"""Whatever happens to a run, the next plain one reaches the result of an undisturbed one."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from shell import ROOT, environment, run
from small_recipe import assert_undisturbed, command, eers

pytestmark = pytest.mark.slow

@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of an undisturbed run, its error rates, and the seconds that it took."""
    root = tmp_path_factory.mktemp("undisturbed")
    start = time.monotonic()
    done = run(command(root))
    assert done.returncode == 0, done.stderr
    return root, eers(root), time.monotonic() - start


@pytest.fixture
def copy(undisturbed, tmp_path):
    """A finished run to do harm to: the files of the undisturbed one, at the same paths."""
    root = undisturbed[0]
    kept = tmp_path / "kept"
    shutil.copytree(root, kept, symlinks=True)
    yield root
    shutil.rmtree(root)
    shutil.move(kept, root)


def test_killed_at_random_moments(undisturbed, tmp_path):
    """kill -9 of the whole process group, again and again, over all stages."""
    draw = random.Random(0)
    stages = set()
    for _ in range(60):
        log = tmp_path / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command(tmp_path), cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
            try:
                status = process.wait(draw.uniform(1, 9))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                stages.update(re.findall(r" stage (\d+): ", log.read_text())[-1:])
                continue
        assert status == 0, log.read_text()
        break
    assert len(stages) >= 4, "the run was killed in too few stages to tell anything"
    assert_undisturbed(tmp_path, undisturbed[1])


@pytest.mark.parametrize(("kilobytes", "before"), [(2, None), (30, None), (200, None), (100, 3)])
def test_full_disk(undisturbed, tmp_path, kilobytes, before):
    """From a stage on, no file can grow beyond a limit: one clear sentence, and a plain run afterwards is whole."""
    if before is not None:
        assert run(command(tmp_path, "--stop-stage", before)).returncode == 0
    done = run(["bash", "-c", f'ulimit -f {kilobytes}; exec "$@"', "limited", *command(tmp_path)])
    assert done.returncode == 1
    assert re.search(r"error: .*: cannot be written: File too large; free space", done.stderr)
    assert "Traceback" not in done.stderr
    assert_undisturbed(tmp_path, undisturbed[1])


LOST = [
    "data/tiny/dev/utt2spk", "data/tiny/train/feats.scp", "data/tiny/eval/archives/vad.1.ark",
    "exp/tiny/teacher_tdnn_tiny_s0/model.safetensors", "exp/tiny/teacher_tdnn_tiny_s0/embeddings/dev/segment6.ark",
    "exp/tiny/student_tdnn16_tdnn_tiny_label_softmax_s0/config.yaml",
    "exp/tiny/student_tdnn16_tdnn_tiny_frame+segment6_mse_s0/embeddings/eval/embedding.scp",
    "exp/tiny/teacher_tdnn_tiny_s0/backend/stats/plda",
    "exp/tiny/teacher_tdnn_tiny_s0/scores/frame/eval.plda.txt", "exp/tiny/results/results.json",
]  # fmt: skip


@pytest.mark.parametrize("name", LOST)
def test_a_file_that_is_lost_is_made_again(undisturbed, copy, name):
    lost = copy / name
    lost.unlink()
    assert_undisturbed(copy, undisturbed[1])
    assert lost.exists()


def test_a_student_that_is_trained_again_is_the_same(copy):
    """Also if it is the only one that is: with as many threads as beside the others."""
    (folder,) = copy.glob("exp/tiny/student_*_label_*")
    weights = (folder / "model.safetensors").read_bytes()
    shutil.rmtree(folder)
    assert run(command(copy, "--stop-stage", 6)).returncode == 0
    assert (folder / "model.safetensors").read_bytes() == weights


def test_all_of_them_are_made_again(undisturbed, copy):
    for name in LOST:
        (copy / name).unlink()
    assert_undisturbed(copy, undisturbed[1])
    assert all((copy / name).exists() for name in LOST)


def test_a_folder_that_cannot_be_written():
    """Not even by root."""
    done = run(command(Path("/proc/nowhere")))
    assert done.returncode == 1 and "/proc/nowhere/exp/tiny: cannot be written; make it writable" in done.stderr
