"""The cluster, once for all tests that need one; and launchers that run on it."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from shell import ROOT, environment
from slurm_cluster import Cluster, why_not


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def cluster():
    """A SLURM of our own; skips where there can be none."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    # Not pytest's folder: a socket's path must be short.
    root = Path(tempfile.mkdtemp(prefix="xvkd_slurm."))
    root.chmod(0o755)
    cluster = Cluster(root)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def start(cluster, tmp_path):
    """Starts a command (by default the launcher) where its jobs can be seen, and ends what is left of it."""
    started = []

    def heed_signals():
        """As in a terminal: whoever runs the tests in the background may have them ignored."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    def begin(*words, command=(ROOT / "local/launch/run_slurm", "--config", cluster.config), cwd=tmp_path):
        process = subprocess.Popen(
            list(map(str, [*command, *words])), cwd=cwd, env=environment(**cluster.variables), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=heed_signals,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@pytest.fixture
def launch(start):
    """Runs the launcher to its end; gives its exit status and what it has said."""

    def finish(*words):
        process = start(*words)
        said = process.communicate(timeout=300)[0]
        return process.returncode, said

    return finish
