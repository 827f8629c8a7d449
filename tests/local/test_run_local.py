"""The launcher: arrays of jobs, their logs, limits, failures, and that nothing outlives it."""

import os
import pty
import re
import select
import signal
import subprocess
import sys

import pytest
from shell import ROOT, environment, run, running, wait_for

LAUNCHER = str(ROOT / "local" / "launch" / "run_local")
# Says what it has started, then waits: a job with a child of its own.
FAMILY = "sleep 600 & echo $! >child.JOB; echo $$ >leader.JOB; wait"
# The same, but not to be asked: only kill -9 ends it.
STUBBORN = "trap '' TERM; " + FAMILY
# Counts the jobs that run beside it.
COUNT = "mkdir -p running; touch running/JOB; ls running | wc -l >count.JOB; sleep 0.2; rm running/JOB"


@pytest.fixture
def launch(tmp_path):
    def start(*words, **changes):
        return run([LAUNCHER, *words], cwd=tmp_path, **changes)

    return start


@pytest.fixture
def start(tmp_path):
    """Starts a launcher, and ends what is left of it after the test."""
    started = []

    def heed_signals():
        """As in a terminal: whoever runs the tests in the background may have them ignored."""
        for kind in (signal.SIGINT, signal.SIGHUP):
            signal.signal(kind, signal.SIG_DFL)

    def begin(*words, command=(LAUNCHER,), **changes):
        process = subprocess.Popen(
            [*command, *words], cwd=tmp_path, env=environment(**changes), stderr=subprocess.PIPE, text=True,
            start_new_session=True, preexec_fn=heed_signals,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate()
    for path in [*tmp_path.glob("leader.*"), *tmp_path.glob("child.*")]:
        if running(int(path.read_text())):
            os.kill(int(path.read_text()), signal.SIGKILL)


def family(tmp_path, jobs):
    """The processes of jobs of ``FAMILY``, once all have begun."""
    paths = [tmp_path / f"{name}.{job}" for job in range(1, jobs + 1) for name in ("leader", "child")]
    wait_for(lambda: all(path.exists() and path.read_text().strip() for path in paths), "the jobs to begin")
    return [int(path.read_text()) for path in paths]


def largest_count(tmp_path):
    return max(int(path.read_text()) for path in tmp_path.glob("count.*"))


def test_array(launch, tmp_path):
    assert launch("JOB=2:4", "log/x.JOB.log", "echo", "part", "JOB/4").returncode == 0
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["x.2.log", "x.3.log", "x.4.log"]
    assert "part 3/4\n" in (tmp_path / "log" / "x.3.log").read_text()


def test_single_job_keeps_the_word(launch, tmp_path):
    assert launch("x.log", "echo", "JOB").returncode == 0
    assert "\nJOB\n" in (tmp_path / "x.log").read_text()


def test_array_of_one(launch, tmp_path):
    assert launch("JOB=7", "x.log", "echo", "JOB").returncode == 0
    assert "\n7\n" in (tmp_path / "x.log").read_text()


def test_number_stands_for_the_word_alone(launch, tmp_path):
    launch("JOB=5:5", "x.log", "echo", "JOB a.JOB.b JOB/9 xJOBS JOB_x MYJOB JOB1")
    assert "\n5 a.5.b 5/9 xJOBS JOB_x MYJOB JOB1\n" in (tmp_path / "x.log").read_text()


def test_arguments_come_through_as_they_are(launch, tmp_path):
    words = ["it's", 'a "b"  c', "$(touch made)", "`touch made`", "*", "", "x\ny", "é", "\udcff"]
    script = "import sys; open('words', 'w', errors='surrogateescape').write(ascii(sys.argv[1:]))"
    assert launch("x.log", sys.executable, "-c", script, *words).returncode == 0
    assert (tmp_path / "words").read_text() == ascii(words)
    assert not (tmp_path / "made").exists()


def test_log_has_header_and_trailer_of_kaldi(launch, tmp_path):
    launch("--num-threads", "3", "x.log", "sh", "-c", "echo out; echo err >&2; exit 3")
    time = r"\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}"
    assert re.fullmatch(
        r"# sh -c 'echo out; echo err >&2; exit 3'\n"
        rf"# Started at {time}\n#\nout\nerr\n# Accounting: time=\d+ threads=3\n"
        rf"# Ended \(code 3\) at {time}, elapsed time \d+ seconds\n",
        (tmp_path / "x.log").read_text(),
    )


def test_first_failing_log_is_named_and_shown(launch, tmp_path):
    script = "seq 100; echo reason JOB; [ JOB = 1 ] || exit JOB"
    done = launch("--max-jobs-run", "3", "JOB=1:3", "x.JOB.log", "sh", "-c", script)
    assert done.returncode == 1
    assert "2 of 3 jobs failed" in done.stderr and "x.2.log" in done.stderr
    assert "    reason 2\n" in done.stderr and "reason 3" not in done.stderr
    assert "    1\n" not in done.stderr  # the end, not all of it
    assert "(code 3)" in (tmp_path / "x.3.log").read_text()


def test_nothing_new_is_started_after_a_failure(launch, tmp_path):
    done = launch("--max-jobs-run", "1", "JOB=1:4", "x.JOB.log", "sh", "-c", "touch ran.JOB; [ JOB = 1 ]")
    assert done.returncode == 1 and "2 jobs were not started" in done.stderr
    assert sorted(path.name for path in tmp_path.glob("ran.*")) == ["ran.1", "ran.2"]


def test_jobs_that_run_already_end_after_a_failure(launch, tmp_path):
    # Job 1 fails when job 2 has begun; job 2 ends when job 1's log is complete.
    script = (
        "if [ JOB = 1 ]; then until [ -e begun ]; do sleep 0.02; done; exit 1; fi;"
        "touch begun; until grep -q Ended x.1.log; do sleep 0.02; done; touch whole"
    )
    assert launch("--max-jobs-run", "2", "JOB=1:2", "x.JOB.log", "sh", "-c", script).returncode == 1
    assert (tmp_path / "whole").exists() and "(code 0)" in (tmp_path / "x.2.log").read_text()


def test_killed_job_is_a_failure(launch):
    done = launch("x.log", "sh", "-c", "kill -9 $$")
    assert done.returncode == 1 and "Ended (code -9)" in done.stderr


def test_max_jobs_run(launch, tmp_path):
    assert launch("--max-jobs-run", "2", "JOB=1:5", "x.JOB.log", "sh", "-c", COUNT).returncode == 0
    assert largest_count(tmp_path) <= 2


def test_jobs_run_at_the_same_time(launch):
    meet = "touch here.JOB; until [ -e here.1 ] && [ -e here.2 ]; do sleep 0.02; done"
    assert launch("--max-jobs-run", "2", "JOB=1:2", "x.JOB.log", "sh", "-c", meet).returncode == 0


def test_threads_bound_jobs_and_are_told(launch, tmp_path):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    script = COUNT + "; echo $OMP_NUM_THREADS $MKL_NUM_THREADS $OPENBLAS_NUM_THREADS"
    assert launch("--num-threads", str(cores), "JOB=1:3", "x.JOB.log", "sh", "-c", script).returncode == 0
    assert largest_count(tmp_path) == 1
    assert f"\n{cores} {cores} {cores}\n" in (tmp_path / "x.1.log").read_text()


def test_one_thread_unless_told_otherwise(launch, tmp_path):
    launch("x.log", "sh", "-c", "echo threads $OMP_NUM_THREADS", OMP_NUM_THREADS="5")
    assert "\nthreads 1\n" in (tmp_path / "x.log").read_text()


@pytest.mark.parametrize("size", ["900T", "900t", "900000GB"])
def test_memory_bounds_jobs(launch, tmp_path, size):
    done = launch("--mem", size, "--max-jobs-run", "4", "JOB=1:3", "x.JOB.log", "sh", "-c", COUNT)
    assert done.returncode == 0 and largest_count(tmp_path) == 1


def test_a_time_limit_is_for_clusters(launch):
    assert launch("--time", "0:00:01", "x.log", "sleep", "1.5").returncode == 0


def test_gpu_where_there_is_none(launch, tmp_path):
    done = launch("--gpu", "1", "x.log", "sh", "-c", "echo [$CUDA_VISIBLE_DEVICES]", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 0 and "\n[]\n" in (tmp_path / "x.log").read_text()


def test_hidden_gpus_stay_hidden(launch, tmp_path):
    launch("--gpu", "1", "x.log", "sh", "-c", "echo [$CUDA_VISIBLE_DEVICES]", CUDA_VISIBLE_DEVICES="-1")
    assert "\n[]\n" in (tmp_path / "x.log").read_text()


def test_each_job_has_its_own_gpu(launch, tmp_path):
    meet = "touch here.JOB; until [ -e here.1 ] && [ -e here.2 ]; do sleep 0.02; done; echo gpu $CUDA_VISIBLE_DEVICES"
    options = ["--gpu", "1", "--max-jobs-run", "9", "JOB=1:3", "x.JOB.log"]
    assert launch(*options, "sh", "-c", meet + "; " + COUNT, CUDA_VISIBLE_DEVICES="4,6").returncode == 0
    logs = [(tmp_path / f"x.{job}.log").read_text() for job in (1, 2, 3)]
    used = [re.search(r"^gpu (.*)$", log, re.MULTILINE)[1] for log in logs]
    assert sorted(used[:2]) == ["4", "6"] and used[2] in ("4", "6")
    assert largest_count(tmp_path) <= 2


def test_jobs_without_gpu_see_none(launch, tmp_path):
    launch("x.log", "sh", "-c", "echo [$CUDA_VISIBLE_DEVICES]", CUDA_VISIBLE_DEVICES="0")
    assert "\n[]\n" in (tmp_path / "x.log").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mem", "4X", "x.log", "true"], "--mem 4X: expected a size such as 500M or 4G"),
        (["--mem"], "--mem: a value is missing"),
        (["--num-threads", "0", "x.log", "true"], "--num-threads 0: expected a whole number of at least 1"),
        (["--max-jobs-run", "two", "x.log", "true"], "--max-jobs-run two: expected a whole number"),
        (["--gpu", "-1", "x.log", "true"], "--gpu -1: expected a whole number of at least 0"),
        (["--queue", "all", "x.log", "true"], "--queue: unknown option (there are --num-threads"),
        (["JOB=3:1", "x.JOB.log", "true"], "JOB=3:1: expected JOB=FIRST:LAST"),
        (["JOB=0:1", "x.JOB.log", "true"], "JOB=0:1: expected JOB=FIRST:LAST"),
        (["JOB=1:2", "x.log", "true"], "x.log: the jobs would write to one log; put JOB into its name"),
        (["x.log"], "expected a log file and a command"),
        ([], "expected a log file and a command"),
        (["x.log", "no-such-program"], "no-such-program: No such file or directory"),
        (["x.log", "./data"], "./data: Permission denied"),
        (["data/x.log", "true"], "data: cannot be written: File exists"),
        (["/dev/full", "true"], "/dev/full: cannot be written: No space left on device"),
    ],
)
def test_mistakes_have_one_clear_line(launch, tmp_path, words, message):
    (tmp_path / "data").write_text("not a program, not a folder")
    done = launch(*words)
    assert done.returncode == 1
    assert message in done.stderr and done.stderr.startswith("run_local: error: ")
    assert len(done.stderr.splitlines()) == 1


def test_help(launch):
    done = launch("--help")
    assert done.returncode == 0 and "--max-jobs-run N" in done.stdout


def test_log_that_is_removed_meanwhile(launch):
    done = launch("x.log", "sh", "-c", "rm x.log; exit 1")
    assert done.returncode == 1 and "1 of 1 jobs failed" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_jobs_and_what_they_started(start, tmp_path, kind):
    launcher = start("--max-jobs-run", "2", "JOB=1:2", "x.JOB.log", "bash", "-c", FAMILY)
    processes = family(tmp_path, 2)
    launcher.send_signal(kind)
    assert launcher.wait(60) == 128 + kind
    wait_for(lambda: not any(map(running, processes)), "the jobs to end")
    assert "Ended (code" in (tmp_path / "x.2.log").read_text()


def test_impatience_leaves_nothing_behind(start, tmp_path):
    launcher = start("--max-jobs-run", "2", "JOB=1:2", "x.JOB.log", "bash", "-c", STUBBORN)
    processes = family(tmp_path, 2)
    for kind in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        launcher.send_signal(kind)
    assert launcher.wait(60) == 128 + signal.SIGINT
    wait_for(lambda: not any(map(running, processes)), "the jobs to end")


def test_kill_9_leaves_nothing_behind(start, tmp_path):
    launcher = start("--max-jobs-run", "2", "JOB=1:2", "x.JOB.log", "bash", "-c", STUBBORN)
    processes = family(tmp_path, 2)
    launcher.kill()
    wait_for(lambda: not any(map(running, processes)), "the jobs to end")


def test_job_of_a_script_that_is_killed_is_ended(start, tmp_path):
    caller = subprocess.Popen(["sleep", "600"])
    launcher = start("JOB=1:1", "x.log", "bash", "-c", FAMILY, XVKD_CALLERS=f"{os.getpid()} {caller.pid}")
    processes = family(tmp_path, 1)
    assert all(map(running, processes))
    caller.kill()
    caller.wait()
    assert launcher.wait(60) == 1
    assert "was killed" in launcher.stderr.read()
    wait_for(lambda: not any(map(running, processes)), "the job to end")


def test_nohup(start, tmp_path):
    script = "touch begun; until [ -e go ]; do sleep 0.02; done"
    ignoring = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh", LAUNCHER)
    launcher = start("x.log", "sh", "-c", script, command=ignoring)
    wait_for((tmp_path / "begun").exists, "the job to begin")
    launcher.send_signal(signal.SIGHUP)
    (tmp_path / "go").touch()
    assert launcher.wait(60) == 0


def shown_on_terminal(tmp_path, pattern, options, script):
    """Starts jobs that wait for the file "seen"; makes it when the launcher's terminal shows the pattern."""
    reading, terminal = pty.openpty()
    command = [LAUNCHER, *options, "sh", "-c", script + "until [ -e seen ]; do sleep 0.02; done"]
    launcher = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=terminal)
    os.close(terminal)
    shown = b""

    def seen():
        nonlocal shown
        if select.select([reading], [], [], 0)[0]:
            shown += os.read(reading, 1000)
        return re.search(pattern, shown)

    try:
        wait_for(seen, str(pattern))
    finally:
        (tmp_path / "seen").touch()
        assert launcher.wait(60) == 0
        os.close(reading)


def test_progress_is_shown_with_the_time_that_is_left(tmp_path):
    """One line about all jobs: job 1 has done half, job 2 nothing yet, so a quarter is done."""
    script = "[ JOB = 2 ] || echo 10:00:00 'progress' 50/100 utterances, 00:02 left, loss 1.25;"
    options = ["--max-jobs-run", "2", "JOB=1:2", "x.JOB.log"]
    shown_on_terminal(tmp_path, rb"25%, \d+:\d\d left; 0 of 2 jobs done", options, script)


def test_note_of_a_single_job_is_shown(tmp_path):
    script = "echo progress 10/40 steps, 00:02 left, loss 3.5; echo progress 30/40 steps, 00:02 left, loss 1.25;"
    shown_on_terminal(tmp_path, rb"75%, 0:\d\d left, loss 1.25", ["x.log"], script)


def test_what_a_resumed_job_did_earlier_says_nothing_about_the_time_left(tmp_path):
    shown_on_terminal(tmp_path, rb"90%, 10:0\d left", ["x.log"], "echo progress 900/1000 steps, 10:00 left, loss 1.5;")


def test_time_left_counts_jobs_that_wait(tmp_path):
    """One at a time: half of the first is left, 10 minutes, and two of 20 minutes wait."""
    script = "echo 'progress' 50/100 steps, 10:00 left;"
    options = ["--max-jobs-run", "1", "JOB=1:3", "x.JOB.log"]
    shown_on_terminal(tmp_path, rb"17%, 50:00 left; 0 of 3 jobs done", options, script)
