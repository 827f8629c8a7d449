"""A SLURM cluster of two nodes on this machine: its own munge, controller and two slurmd, started by hand."""

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from shell import ROOT, environment, run, wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
NODES = ("n1", "n2")
CPUS = 2
MAX_ARRAY_SIZE = 11

# Without systemd and cgroups; CPUs are as many as are declared. A job of a lost node is started anew when its
# credential has expired, which takes two minutes otherwise.
CONFIGURATION = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={root}/munge.sock,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={root}/controller
SlurmdSpoolDir={root}/%n
SlurmctldPidFile={root}/controller.pid
SlurmdPidFile={root}/%n.pid
SlurmctldLogFile={root}/controller.log
SlurmdLogFile={root}/%n.log
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={root}/task_prolog
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
SlurmdTimeout=6
KillWait=5
DefMemPerCPU=100
MaxArraySize={max_array_size}
ReturnToService=2
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus} RealMemory=6000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cpus} RealMemory=6000
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=1:00:00
"""
# In every job's environment. The second node's clock, for what jobs ask, is an hour late.
TASK_PROLOG = """\
#!/bin/sh
if [ "$SLURMD_NODENAME" = n2 ] && [ -f "{faketime}" ]; then
  echo "export LD_PRELOAD={faketime}"
  echo "export FAKETIME=-1h DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1"
fi
"""
FAKETIME = (glob.glob("/usr/lib/*/faketime/libfaketime.so.1") + [""])[0]


def why_not() -> str:
    """Why a cluster cannot be started here; empty if it can."""
    if os.geteuid() != 0:
        return "SLURM's daemons want root here"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=SEARCH)]
    return f"SLURM is not installed ({', '.join(missing)}): tests/run_slurm.sh does it" if missing else ""


def free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Cluster:
    """The cluster, its files in ``root``. ``config`` is what run_slurm is to be given as --config."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = f"xvkd{os.getpid()}"
        self._daemons: dict[str, subprocess.Popen] = {}
        for folder in ("controller", *NODES):
            (root / folder).mkdir()
        (root / "key").write_bytes(os.urandom(1024))
        (root / "key").chmod(0o600)
        (root / "slurm.conf").write_text(CONFIGURATION.format(
            name=self.name, host=socket.gethostname(), ports=free_ports(3), root=root, cpus=CPUS,
            max_array_size=MAX_ARRAY_SIZE,
        ))  # fmt: skip
        (root / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        (root / "task_prolog").write_text(TASK_PROLOG.format(faketime=FAKETIME))
        (root / "task_prolog").chmod(0o755)
        self.config = root / "options.conf"
        # No GPU here.
        lines = (ROOT / "conf" / "slurm.conf").read_text().splitlines(keepends=True)
        self.config.write_text("".join(line for line in lines if "--gres" not in line) + "option gpu=*\n")
        self.variables = {
            "SLURM_CONF": str(root / "slurm.conf"), "cmd_backend": "slurm", "slurm_config": str(self.config)
        }  # fmt: skip

    def _start(self, name: str, *command: str) -> None:
        with (self.root / f"{name}.out").open("a") as output:
            self._daemons[name] = subprocess.Popen(
                command, env=environment(PATH=SEARCH, **self.variables), cwd=self.root, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def _stop(self, name: str, kind: int = signal.SIGTERM) -> None:
        daemon = self._daemons.pop(name, None)
        if daemon:
            daemon.send_signal(kind)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def start(self) -> None:
        files = [f"--{name}={self.root}/munge.{name}" for name in ("socket", "pid-file", "log-file", "seed-file")]
        files[0] = f"--socket={self.root}/munge.sock"
        self._start("munge", "munged", "--foreground", f"--key-file={self.root}/key", *files)
        wait_for((self.root / "munge.sock").exists, f"munge ({self.root}/munge.out)")
        self.start_controller()
        for node in NODES:
            self.start_node(node)

    def start_controller(self) -> None:
        self._start("controller", "slurmctld", "-D")
        wait_for(lambda: self("scontrol", "ping").returncode == 0, f"the controller ({self.root}/controller.log)")

    def stop_controller(self) -> None:
        self._stop("controller")

    def start_node(self, node: str) -> None:
        self._start(node, "slurmd", "-D", "-N", node)
        wait_for(lambda: self.node_state(node) in ("idle", "mixed", "allocated"), f"{node} ({self.root}/{node}.log)")

    def lose_node(self, node: str) -> None:
        """The node is gone with all that ran on it, from one moment to the next.

        The controller is told what it would find out itself, half a minute later.
        """
        self._stop(node, signal.SIGKILL)
        self._kill_jobs(node)
        done = self("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost")
        assert done.returncode == 0, done.stderr

    def _kill_jobs(self, node: str) -> None:
        """Kills the processes of jobs, and those of SLURM's that they are children of."""
        ours = {f"SLURM_CLUSTER_NAME={self.name}".encode(), f"SLURMD_NODENAME={node}".encode()}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if ours <= set((folder / "environ").read_bytes().split(b"\0")):
                    parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                    with contextlib.suppress(ProcessLookupError):
                        if b"slurmstepd" in Path(f"/proc/{parent}/cmdline").read_bytes():
                            os.kill(parent, signal.SIGKILL)
                        os.kill(int(folder.name), signal.SIGKILL)

    def node_state(self, node: str) -> str:
        return self("sinfo", "--noheader", f"--nodes={node}", "--format=%T").stdout.strip()

    def __call__(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs one of SLURM's programs."""
        return run(command, PATH=SEARCH, **self.variables)

    def jobs(self, *options: str) -> list[str]:
        """Names of the jobs that wait or run."""
        done = self("squeue", "--noheader", "--array", "--format=%j", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def stop(self) -> None:
        if "controller" in self._daemons:
            self("scancel", "--user=root")
            end = time.monotonic() + 15
            while self.jobs() and time.monotonic() < end:
                time.sleep(0.2)
        for name in list(self._daemons)[::-1]:
            self._stop(name)
        for node in NODES:
            self._kill_jobs(node)
