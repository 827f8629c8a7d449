"""The whole recipe on a cluster: the same result as on one machine, whatever happens meanwhile."""

import os
import re
import shutil
import signal
import time

import pytest
from shell import run, wait_for
from slurm_cluster import FAKETIME
from small_recipe import assert_undisturbed, command, eers


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Error rates of a run on this machine, without SLURM."""
    root = tmp_path_factory.mktemp("local")
    done = run(command(root))
    assert done.returncode == 0, done.stderr
    return eers(root)


@pytest.fixture(scope="module")
def on_slurm(cluster, tmp_path_factory):
    """The folder of a run on the cluster, the clock of whose second node is an hour late."""
    root = tmp_path_factory.mktemp("on_slurm")
    done = run(command(root), **cluster.variables)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def begun(cluster, on_slurm, start, tmp_path):
    """Begins a run anew from stage 4 on, the data of which are there, and waits for a stage."""
    shutil.rmtree(on_slurm / "exp")
    log = tmp_path / "log"

    def begin(stage):
        words = ["bash", "-c", 'exec "$@" >"$0" 2>&1', log]
        process = start(*command(on_slurm), command=words)
        jobs = re.compile(rf" stage {stage}: ")
        wait_for(lambda: jobs.search(log.read_text() if log.exists() else ""), f"stage {stage}")
        wait_for(lambda: cluster.jobs("--states=RUNNING"), "a job to run")
        return process, log

    return begin


def test_result_is_that_of_one_machine(cluster, local, on_slurm):
    assert_undisturbed(on_slurm, local, **cluster.variables)
    hosts = {
        line for log in on_slurm.rglob("*.log") for line in log.read_text(errors="replace").splitlines()
        if line.startswith("# Running on ")
    }  # fmt: skip
    assert hosts == {"# Running on n1", "# Running on n2"}
    assert not list(on_slurm.rglob(".slurm"))


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed")
def test_the_clocks_did_differ(cluster, start, tmp_path):
    assert start("JOB=1:4", "x.JOB.log", "sh", "-c", "date +%s; sleep 2").wait() == 0
    clocks = [int(re.search(r"^\d{9,}$", path.read_text(), re.MULTILINE)[0]) for path in tmp_path.glob("x.*.log")]
    assert max(clocks) - min(clocks) > 3000


def test_second_submission_and_a_controller_that_is_restarted(cluster, begun, local, on_slurm):
    process, log = begun(4)
    second = run(command(on_slurm), **cluster.variables)
    assert second.returncode == 1 and "another run works here: process" in second.stderr
    cluster.stop_controller()
    cluster.start_controller()
    assert process.wait(600) == 0, log.read_text()
    assert_undisturbed(on_slurm, local, **cluster.variables)


def test_shared_folder_that_is_gone_for_a_while(cluster, begun, local, on_slurm):
    process, log = begun(6)
    (on_slurm / "exp").rename(on_slurm / "away")
    time.sleep(6)
    # What a job that opened a file by its name has made there is lost.
    shutil.rmtree(on_slurm / "exp", ignore_errors=True)
    (on_slurm / "away").rename(on_slurm / "exp")
    assert process.wait(600) in (0, 1), log.read_text()
    assert_undisturbed(on_slurm, local, **cluster.variables)


def test_node_that_is_lost(cluster, begun, local, on_slurm):
    process, log = begun(6)
    cluster.lose_node("n2")
    try:
        assert process.wait(600) == 0, log.read_text()
    finally:
        cluster.start_node("n2")
    assert_undisturbed(on_slurm, local, **cluster.variables)


def test_run_that_is_killed(cluster, begun, local, on_slurm):
    process, _ = begun(6)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert_undisturbed(on_slurm, local, **cluster.variables)
    wait_for(lambda: not cluster.jobs(), "the jobs to be gone")
