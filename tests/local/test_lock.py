"""One run at a time in a folder; a run that is gone leaves no lock."""

import os
import signal
import socket
import subprocess
import sys
import threading

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


# A lock of this machine's, and what the file says, are what another machine may see of a run: here, the latter alone.
ELSEWHERE = "node7 4242 2026-01-02T03:04:05 another-boot"


@pytest.fixture
def take(tmp_path):
    """Takes the lock in a process of its own, after a second at most in place of twenty; the process then lives on."""
    holders = []

    def start():
        script = f"""
import os, sys, time
sys.path.insert(0, "{ROOT}/local")
import lock
lock.GONE, lock.BEAT = 1.5, 0.2
descriptor = os.open(".lock", os.O_RDWR | os.O_CREAT | os.O_APPEND)
sys.argv[1:] = [str(descriptor), ".lock", str(os.getpid())]
lock.main()
print("taken", flush=True)
time.sleep(600)
"""
        process = subprocess.Popen(
            [sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        holders.append(process)
        return process, process.stdout.readline().strip() == "taken"

    yield start
    for process in holders:
        process.kill()
        process.communicate()


def test_a_run_on_another_machine_is_seen_to_work(take, tmp_path):
    """Whatever its clock says, and though the file system tells nothing of its lock."""
    stop = threading.Event()

    def count():
        beats = 0
        while not stop.wait(0.1):
            beats += 1
            (tmp_path / ".lock").write_text(f"{ELSEWHERE} {beats}\n")

    (tmp_path / ".lock").write_text(f"{ELSEWHERE} 0\n")
    thread = threading.Thread(target=count)
    thread.start()
    try:
        process, taken = take()
        message = process.communicate()[1]
    finally:
        stop.set()
        thread.join()
    assert not taken and process.returncode == 1
    assert "another run works here: process 4242 on node7, since 2026-01-02T03:04:05; wait for its end" in message


@pytest.mark.parametrize("count", ["17", "over"])
def test_a_run_on_another_machine_that_is_gone_leaves_no_lock(take, tmp_path, count):
    (tmp_path / ".lock").write_text(f"{ELSEWHERE} {count}\n")
    process, taken = take()
    assert taken
    assert (tmp_path / ".lock").read_text().split()[:2] == [socket.gethostname(), str(process.pid)]


def test_who_has_the_lock_counts_until_it_has_ended(take, tmp_path):
    process, _ = take()
    counts = set()

    def last():
        counts.add((tmp_path / ".lock").read_text().split()[4])
        return counts

    wait_for(lambda: len(last()) > 2, "the counting to be seen")
    process.kill()
    process.wait()
    wait_for(lambda: "over" in last(), "the end to be told")


def test_of_two_at_the_same_moment_one_goes_on(command):
    both = [
        subprocess.Popen(command("echo working; sleep 3"), cwd=ROOT, env=environment(), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    outputs = [process.communicate() for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert sorted(output for output, _ in outputs) == ["", "working\n"]
