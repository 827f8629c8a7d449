"""run_slurm on a real cluster: arrays, failures of every kind, and that nothing is left behind."""

import re
import signal
import subprocess
import time

import pytest
from shell import ROOT, environment, run, wait_for
from slurm_cluster import CPUS, MAX_ARRAY_SIZE, NODES

LAUNCHER = ROOT / "local" / "launch" / "run_slurm"
WAIT = "touch begun.JOB; until [ -e go ]; do sleep 0.1; done; echo went on"


def begun(folder, *jobs):
    wait_for(lambda: all((folder / f"begun.{job}").exists() for job in jobs), "the jobs to begin")


@pytest.fixture(scope="module", autouse=True)
def over_time(cluster, tmp_path_factory):
    """SLURM counts in minutes: this job's begins before the other tests, the last of which looks at it."""
    folder = tmp_path_factory.mktemp("over_time")
    config = folder / "options.conf"
    config.write_text(cluster.config.read_text() + "command sbatch --nodelist=n1\n")  # which no test takes away
    command = [LAUNCHER, "--config", config, "--time", "0:30", "over_time.log", "sleep", "600"]
    process = subprocess.Popen(
        list(map(str, command)), cwd=folder, env=environment(**cluster.variables), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def no_jobs(cluster):
    """Nothing of the test's is left on the cluster."""
    yield
    wait_for(lambda: not names(cluster), "the jobs to be gone")


def names(cluster, *options):
    """Those of all jobs that wait or run, but of that which takes too long."""
    return {name for name in cluster.jobs(*options) if not name.startswith("over_time")}


def test_array_on_two_nodes(launch, tmp_path, no_jobs):
    script = "sleep 1; echo part JOB/4 on $SLURMD_NODENAME, $OMP_NUM_THREADS"
    status, said = launch("JOB=2:4", "log/x.JOB.log", "sh", "-c", script)
    assert (status, said) == (0, "")
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["x.2.log", "x.3.log", "x.4.log"]
    logs = [path.read_text() for path in (tmp_path / "log").iterdir()]
    assert {re.search(r"on (n.),", log)[1] for log in logs} <= set(NODES)
    assert "\npart 3/4 on " in (tmp_path / "log/x.3.log").read_text() and all(", 1\n" in log for log in logs)
    assert all(re.search(r"^# Ended \(code 0\)", log, re.MULTILINE) for log in logs)


def test_arguments_come_through_as_they_are(launch, tmp_path):
    words = ["it's", 'a "b"  c', "$(touch made)", "`touch made`", "*", "", "x\ny", "a\\n", "cr\r\n", "é", "xJOBS"]
    script = "import sys; open('words', 'w', errors='surrogateescape').write(ascii(sys.argv[1:]))"
    assert launch("a 'log' 100%.log", "python3", "-c", script, *words) == (0, "")
    assert (tmp_path / "words").read_text() == ascii(words)


def test_max_jobs_run(launch, tmp_path, no_jobs):
    count = "mkdir -p running; touch running/JOB; ls running | wc -l >count.JOB; sleep 0.5; rm running/JOB"
    assert launch("--max-jobs-run", 1, "JOB=1:3", "x.JOB.log", "sh", "-c", count)[0] == 0
    assert [int(path.read_text()) for path in tmp_path.glob("count.*")] == [1, 1, 1]


def test_more_jobs_than_an_array_may_have(launch, tmp_path):
    status, said = launch(f"JOB=1:{MAX_ARRAY_SIZE + 2}", "x.JOB.log", "echo", "number", "JOB")
    assert status == 0, said
    for job in range(1, MAX_ARRAY_SIZE + 3):
        assert f"\nnumber {job}\n" in (tmp_path / f"x.{job}.log").read_text()


def test_one_failing_task(launch, no_jobs):
    status, said = launch(
        "--max-jobs-run", 2, "JOB=1:9", "x.JOB.log", "sh", "-c", "[ JOB != 2 ] || { echo reason; exit 7; }; sleep 2"
    )  # fmt: skip
    assert status == 1
    assert re.search(r"run_slurm: 1 of 9 jobs failed \(job 2: exit code 7 on n\d\); \d jobs were not started", said)
    assert "The end of x.2.log" in said and "    reason\n" in said and "Ended (code 7)" in said


@pytest.mark.parametrize(
    ("whom", "message"),
    [("$$", r"job 2: killed by signal 9 on n\d"), ("$PPID", "job 2: gone without an exit code, SLURM says FAILED")],
)
def test_task_that_is_killed(launch, no_jobs, whom, message):
    """The command, or with it the process that would tell of its end."""
    status, said = launch("JOB=1:2", "x.JOB.log", "sh", "-c", f"[ JOB = 1 ] || kill -9 {whom}; [ JOB = 1 ] || sleep 60")
    assert status == 1 and re.search(rf"1 of 2 jobs failed \({message}\)", said), said


def test_scancel_of_a_running_task(cluster, start, tmp_path, no_jobs):
    launcher = start("JOB=1:2", "x.JOB.log", "sh", "-c", WAIT)
    begun(tmp_path, 1, 2)
    (job,) = set(cluster.jobs("--format=%F", f"--name={names(cluster).pop()}"))
    assert cluster("scancel", f"{job}_2").returncode == 0
    time.sleep(1)
    (tmp_path / "go").touch()
    said = launcher.communicate()[0]
    assert launcher.returncode == 1
    assert re.search(r"1 of 2 jobs failed \(job 2: stopped by signal 15 on n\d, SLURM says CANCELLED\)", said), said
    assert "went on" in (tmp_path / "x.1.log").read_text()


def test_scancel_of_a_pending_task(cluster, start, tmp_path, no_jobs):
    jobs = len(NODES) * CPUS + 1
    launcher = start("--max-jobs-run", jobs - 1, f"JOB=1:{jobs}", "x.JOB.log", "sh", "-c", WAIT)
    begun(tmp_path, 1)
    (job,) = set(cluster.jobs("--format=%F", f"--name={names(cluster).pop()}"))
    assert cluster("scancel", f"{job}_{jobs}").returncode == 0
    (tmp_path / "go").touch()
    said = launcher.communicate()[0]
    assert launcher.returncode == 1
    message = rf"1 of {jobs} jobs failed \(job {jobs}: gone without an exit code, SLURM says (CANCELLED|nothing)\)"
    assert re.search(message, said), said


def test_dependency_that_is_never_satisfied(cluster, launch, tmp_path, no_jobs):
    failed = cluster("sbatch", "--parsable", "--output=/dev/null", "--wrap=false").stdout.strip()
    config = tmp_path / "options.conf"
    config.write_text(cluster.config.read_text() + "option after=* --dependency=afterok:$0\n")
    wait_for(lambda: not cluster.jobs(f"--jobs={failed}"), "the first job to fail")
    status, said = launch("--config", config, "--after", failed, "x.log", "true")
    assert status == 1
    message = "the jobs of x.log will never start: SLURM says DependencyNeverSatisfied; they are cancelled"
    assert said == f"run_slurm: error: {message}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--queue", "nowhere"], "invalid partition specified: nowhere"),
        (["--mem", "900G"], "Memory specification can not be satisfied"),
        (["--num-threads", "64"], "will never start: SLURM says PartitionConfig"),
        (["--time", "99:00:00"], "will never start: SLURM says Partition"),
    ],
)
def test_what_slurm_cannot_do_is_told(cluster, launch, tmp_path, no_jobs, options, message):
    config = tmp_path / "options.conf"
    config.write_text(cluster.config.read_text() + "option queue=* --partition=$0\n")
    status, said = launch("--config", config, *options, "x.log", "true")
    assert status == 1 and said.startswith("run_slurm: error: ") and message in said and said.count("\n") == 1
    assert not list(tmp_path.glob(".slurm/*"))


def test_controller_that_is_restarted(cluster, start, tmp_path, no_jobs):
    """Jobs go on, and the launcher waits for its answer; one that begins meanwhile waits as well."""
    launcher = start("JOB=1:3", "x.JOB.log", "sh", "-c", WAIT)
    begun(tmp_path, 1, 2, 3)
    cluster.stop_controller()
    late = start("late.log", "echo", "late")
    for process, message in ((launcher, "squeue does not answer"), (late, "trying again")):
        assert message in process.stdout.readline()
    cluster.start_controller()
    (tmp_path / "go").touch()
    assert launcher.communicate()[0].count("squeue answers again") <= 1
    late.communicate()
    assert (launcher.returncode, late.returncode) == (0, 0)
    assert "went on" in (tmp_path / "x.3.log").read_text() and "\nlate\n" in (tmp_path / "late.log").read_text()


def test_jobs_of_a_node_that_is_lost_run_elsewhere(cluster, start, tmp_path, no_jobs):
    script = "echo $SLURMD_NODENAME >>node.JOB; " + WAIT
    launcher = start(f"JOB=1:{CPUS + 1}", "x.JOB.log", "sh", "-c", script)
    begun(tmp_path, *range(1, CPUS + 2))
    nodes = {path.read_text().strip(): path.name[5:] for path in tmp_path.glob("node.*")}
    assert set(nodes) == set(NODES)
    cluster.lose_node("n2")
    try:
        (tmp_path / "go").touch()
        said = launcher.communicate()[0]
    finally:
        cluster.start_node("n2")
    assert launcher.returncode == 0, said
    assert (tmp_path / f"node.{nodes['n2']}").read_text().split() == ["n2", "n1"]


def test_shared_folder_that_is_gone_for_a_while(start, tmp_path, no_jobs):
    """Jobs end meanwhile, and tell it when the folder is there again."""
    launcher = start("JOB=1:2", "shared/log/x.JOB.log", "sh", "-c", WAIT + "; sleep 1")
    begun(tmp_path, 1, 2)
    (tmp_path / "shared").rename(tmp_path / "away")
    (tmp_path / "go").touch()
    assert "shared/log/.slurm is not to be seen; waiting for it" in launcher.stdout.readline()
    time.sleep(14)  # longer than a job that is gone is waited for
    (tmp_path / "away").rename(tmp_path / "shared")
    said = launcher.communicate()[0]
    assert launcher.returncode == 0, said
    assert "is there again" in said and "Ended (code 0)" in (tmp_path / "shared/log/x.2.log").read_text()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_signal_cancels_the_jobs(start, tmp_path, no_jobs, kind):
    launcher = start("JOB=1:6", "x.JOB.log", "sh", "-c", WAIT)
    begun(tmp_path, 1)
    launcher.send_signal(kind)
    assert launcher.wait() == 128 + kind
    assert not (tmp_path / ".slurm").exists()


def test_signal_at_any_moment_of_the_submission(cluster, start, no_jobs):
    for hundredths in range(4, 24, 3):
        launcher = start("JOB=1:3", "x.JOB.log", "sleep", "60")
        time.sleep(hundredths / 100)
        launcher.terminate()
        # Before the launcher heeds signals, it has nothing to cancel.
        assert launcher.wait() in (128 + signal.SIGTERM, -signal.SIGTERM)
        assert not names(cluster, "--states=PENDING,RUNNING")


def test_kill_9_cancels_the_jobs(start, tmp_path, no_jobs):
    launcher = start("JOB=1:3", "x.JOB.log", "sh", "-c", WAIT)
    begun(tmp_path, 1)
    launcher.kill()


def test_what_a_lost_launcher_has_left_is_cancelled_by_the_next(cluster, start, launch, tmp_path):
    """Its whole machine was lost, so that nothing of it could cancel its jobs."""
    launcher = start("JOB=1:2", "x.JOB.log", "sh", "-c", WAIT)
    begun(tmp_path, 1, 2)
    (old,) = names(cluster)
    (tmp_path / f".slurm/{old}/owner").write_text("another-machine 1\n")
    launcher.send_signal(signal.SIGSTOP)
    status, said = launch("JOB=1:2", "x.JOB.log", "echo", "anew")
    assert status == 0 and f"cancelling what is left of an earlier call: {old}" in said
    assert old not in cluster.jobs()
    assert "\nanew\n" in (tmp_path / "x.1.log").read_text()


def test_without_slurm(cluster, tmp_path):
    (tmp_path / "python3").symlink_to("/usr/bin/python3")
    command = [LAUNCHER, "--config", cluster.config, "x.log", "true"]
    done = run(["/usr/bin/env", f"PATH={tmp_path}", *command], cwd=tmp_path)
    assert done.returncode == 1 and "SLURM's programs are not here" in done.stderr


def test_time_limit(over_time):
    said = over_time.communicate(timeout=150)[0]
    assert over_time.returncode == 1
    assert re.search(r"1 of 1 jobs failed \(job 1: stopped by signal 15 on n\d, SLURM says TIMEOUT\)", said), said
    assert "DUE TO TIME LIMIT" in said
