"""Kaldi's launchers, named in cmd.sh in place of our own."""

import re
import shutil
from pathlib import Path

import pytest
from shell import ROOT, run
from small_recipe import OPTIONS


@pytest.fixture(params=["run.pl", "slurm.pl"])
def project(request, tmp_path):
    """The project, with a launcher of Kaldi's in its cmd.sh."""
    root = tmp_path / "project"
    root.mkdir()
    for name in ("run.sh", "local", "pyscripts", "conf", "path.sh", "requirements.txt", "requirements-min.txt"):
        (root / name).symlink_to(ROOT / name)
    shutil.copy(Path(__file__).with_name("kaldi_launcher.py"), root / request.param)
    text = re.sub(r"^launcher=.*|^case .*?^esac", "", (ROOT / "cmd.sh").read_text(), flags=re.MULTILINE | re.DOTALL)
    (root / "cmd.sh").write_text(f'launcher="./{request.param}"\n{text}')
    return root


@pytest.mark.slow
def test_stages_run_with_them(project, tmp_path):
    """Arrays, queues, training: all kinds of calls."""
    options = [*OPTIONS, "--stop-stage", "6", "--noisy-sets", "", "--augmentation", "none"]
    done = run([project / "run.sh", *options], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list(project.glob("exp/tiny*/*/model.safetensors"))) == 3


def test_failure_is_a_failure(project, tmp_path):
    script = '. local/common.sh; queue "$W/.done" it -- false; run_queue "$W/log" it $score_cmd; echo went on'
    words = ["bash", "-c", f"set -euo pipefail; {script}", "recipe", "--preset", "tiny", "--exp-root", tmp_path / "exp"]
    done = run(words, cwd=project, W=str(tmp_path))
    assert done.returncode == 1 and "went on" not in done.stdout and not (tmp_path / ".done").exists()
