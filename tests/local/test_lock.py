"""One run at a time in a folder; a run that is gone leaves no lock."""

import os
import signal
import socket
import subprocess

import pytest
from shell import ROOT, environment, run, wait_for

PRELUDE = "set -euo pipefail; . local/common.sh; "


@pytest.fixture
def command(tmp_path):
    """Gives the words that run a script with the recipe's functions, its experiment in the test's folder."""

    def words(script, *options):
        roots = ["--preset", "tiny", "--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp"]
        return ["bash", "-c", PRELUDE + script, "recipe", *map(str, [*roots, *options])]

    return words


@pytest.fixture
def first(command, tmp_path):
    """A run that has the lock, as a process in a group of its own."""
    ready = tmp_path / "ready"
    process = subprocess.Popen(
        command(f"sleep 60 & touch {ready}; wait"), cwd=ROOT, env=environment(), start_new_session=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(ready.exists, "the first run has the lock")
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_second_run_is_refused_and_told_who_has_the_folder(command, first, tmp_path):
    second = run(command("touch $data/reached"))
    assert second.returncode == 1
    holder = f"process {first.pid} on {socket.gethostname()}"
    assert f"{tmp_path}/exp/tiny: another run works here: {holder}" in second.stderr
    assert not (tmp_path / "data/tiny/reached").exists()


def test_data_are_shared_from_stage_4_on(command, first, tmp_path):
    elsewhere = ["--exp-root", tmp_path / "other"]
    assert f"{tmp_path}/data/tiny: another run" in run(command("true", *elsewhere)).stderr
    assert run(command("true", *elsewhere, "--stage", "4")).returncode == 0


def test_a_dry_run_needs_no_lock(command, first):
    assert run(command("true", "--dry-run")).returncode == 0


def test_a_killed_run_leaves_no_lock(command, first):
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert run(command("true")).returncode == 0


def test_jobs_that_outlive_their_run_keep_the_lock(command, first, tmp_path):
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = run(command("true"))
    assert second.returncode == 1 and "that process has ended, but jobs of it have not" in second.stderr


def test_the_stages_of_a_run_share_its_lock(command):
    done = run(command('bash -c ". local/common.sh; echo inner" stage "$@" && echo outer', "--seed", "1"))
    assert done.stdout.split() == ["inner", "outer"], done.stderr


def test_a_lock_is_of_one_folder(command, tmp_path):
    done = run(command(f'bash -c ". local/common.sh" stage "$@" --exp-root {tmp_path}/other'))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "other/tiny/.lock").exists()


def test_a_place_that_cannot_be_written_is_told(command, tmp_path):
    (tmp_path / "exp").touch()
    done = run(command("echo reached"))
    assert done.returncode == 1 and not done.stdout
    assert f"{tmp_path}/exp/tiny: cannot be written; make it writable" in done.stderr
