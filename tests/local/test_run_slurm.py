"""The launcher for SLURM, with stand-ins for SLURM's programs; tests/slurm has a real cluster."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from shell import ROOT, environment, run, running, wait_for

LAUNCHER = str(ROOT / "local" / "launch" / "run_slurm")
CONFIG = str(ROOT / "conf" / "slurm.conf")


@pytest.fixture
def slurm(tmp_path):
    """The folder of the stand-ins, and the variables with which they are found."""
    root = tmp_path / "slurm"
    (root / "bin").mkdir(parents=True)
    for name in ("sbatch", "squeue", "scancel", "scontrol"):
        (root / "bin" / name).symlink_to(Path(__file__).with_name("slurm_stand_in.py"))
    # The stand-in is no program of the repository's.
    path = os.pathsep.join([str(root / "bin"), environment()["PATH"]])
    return root, {"PATH": path, "FAKE_SLURM": str(root)}


@pytest.fixture
def launch(tmp_path, slurm):
    def start(*words, config=CONFIG):
        return run([LAUNCHER, "--config", config, *words], cwd=tmp_path, **slurm[1])

    return start


def submitted(slurm):
    """The words of the last sbatch."""
    return json.loads((slurm[0] / "called").read_text())


def test_array(launch, slurm, tmp_path):
    done = launch("JOB=2:4", "log/x.JOB.log", "echo", "part", "JOB/4", "xJOBS")
    assert (done.returncode, done.stderr) == (0, "")
    log = (tmp_path / "log/x.3.log").read_text()
    assert log.startswith("# echo part 3/4 xJOBS\n# Running on node1\n# Started at ") and "\npart 3/4 xJOBS\n" in log
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["x.2.log", "x.3.log", "x.4.log"]


def test_arguments_come_through_as_they_are(launch, tmp_path):
    words = ["it's", 'a "b"  c', "$(touch made)", "`touch made`", "*", "", "x\ny", "a\\n", "cr\r\n", "é", "\udcff"]
    script = "import sys; open('words', 'w', errors='surrogateescape').write(ascii(sys.argv[1:]))"
    done = launch("it's a 100%.log", "python3", "-c", script, *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "words").read_text() == ascii(words)


def test_jobs_are_started_anew_unless_a_variable_says_no(launch, slurm):
    assert launch("JOB=1:2", "x.JOB.log", "true").returncode == 0 and "--requeue" in submitted(slurm)
    slurm[1]["SBATCH_NO_REQUEUE"] = "1"
    assert launch("JOB=1:2", "x.JOB.log", "true").returncode == 0 and "--requeue" not in submitted(slurm)


def test_options_become_those_of_the_configuration(launch, slurm):
    options = ["--mem", "1.5G", "--num-threads", "3", "--gpu", "2", "--time", "4:00:00", "--max-jobs-run", "2"]
    assert launch(*options, "JOB=1:3", "x.JOB.log", "true").returncode == 0
    words = submitted(slurm)
    assert {"--mem=1536M", "--cpus-per-task=3", "--gres=gpu:2", "--time=4:00:00", "--array=1-3%2"} <= set(words)
    assert launch("x.log", "true").returncode == 0
    assert not [word for word in submitted(slurm) if re.match("--(mem|gres|time)", word)]


def test_a_configuration_of_kaldis(launch, slurm, tmp_path):
    """Its own words, with options of a cluster's own."""
    (tmp_path / "slurm.conf").write_text(
        "# Default configuration\ncommand sbatch --export=ALL  --ntasks-per-node=1\noption mem=* --mem-per-cpu $0\n"
        "option mem=0          # Do not add anything\noption num_threads=1 --cpus-per-task 1 --ntasks-per-node=1\n"
        "option num_threads=* --cpus-per-task $0 --ntasks-per-node=1\ndefault gpu=0\noption gpu=0 -p shared\n"
        "option gpu=* -p gpu --gres=gpu:$0\noption queue=* --partition=$0 # as queue.pl has it\n"
    )
    assert launch("--queue", "long", "--mem", "0", "x.log", "true", config=str(tmp_path / "slurm.conf")).returncode == 0
    words = " ".join(submitted(slurm))
    assert "-p shared --partition=long" in words and "--mem" not in words
    done = launch("--account", "me", "x.log", "true", config=str(tmp_path / "slurm.conf"))
    assert "--account: unknown option (there are --num-threads, --max-jobs-run, --mem, --gpu, --queue" in done.stderr


def test_more_jobs_than_an_array_may_have(launch, slurm, tmp_path):
    assert launch("JOB=1:7", "x.JOB.log", "echo", "number", "JOB").returncode == 0
    assert all(f"\nnumber {job}\n" in (tmp_path / f"x.{job}.log").read_text() for job in range(1, 8))
    assert "--array=1-1" in submitted(slurm)


def test_exit_code_of_a_job(launch):
    done = launch("JOB=1:3", "x.JOB.log", "sh", "-c", "echo reason JOB; [ JOB != 2 ] || exit 7")
    assert done.returncode == 1
    assert "run_slurm: 1 of 3 jobs failed (job 2: exit code 7 on node1). The end of x.2.log:\n" in done.stderr
    assert "    reason 2\n" in done.stderr and "Ended (code 7)" in done.stderr


def test_program_that_is_not_there(launch):
    done = launch("x.log", "no-such-program")
    assert done.returncode == 1 and "    no-such-program: No such file or directory\n" in done.stderr


def test_task_that_is_gone_without_a_word(launch, slurm):
    (slurm[0] / "lose.2").touch()
    done = launch("JOB=1:2", "x.JOB.log", "true")
    assert done.returncode == 1
    assert "1 of 2 jobs failed (job 2: gone without an exit code, SLURM says NODE_FAIL)" in done.stderr


def test_submission_whose_answer_is_lost_is_not_repeated(launch, slurm):
    (slurm[0] / "unheard").touch()
    done = launch("x.log", "true")
    assert done.returncode == 0 and "Socket timed out on send/recv operation; trying again" in done.stderr
    assert len(list(slurm[0].glob("*/name"))) == 1


def begin(slurm, cwd, *words):
    def heed_signals():
        """As in a terminal: whoever runs the tests in the background may have them ignored."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        [LAUNCHER, "--config", CONFIG, *words], cwd=cwd, env=environment(**slurm[1]), stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_signals,
    )  # fmt: skip


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("slow", [True, False])
def test_signal_cancels_also_what_is_just_being_submitted(slurm, tmp_path, kind, slow):
    def begun():
        """Processes of jobs; one that was ended as it began has left an empty file."""
        return [int(text) for path in tmp_path.glob("begun.*") if (text := path.read_text())]

    if slow:
        (slurm[0] / "slow").touch()
    launcher = begin(slurm, tmp_path, "JOB=1:2", "x.JOB.log", "sh", "-c", "echo $$ >begun.JOB; exec sleep 600")
    if slow:
        wait_for((slurm[0] / "asked").exists, "the submission")
    else:
        wait_for(lambda: len(begun()) == 2, "the jobs to begin")
    launcher.send_signal(kind)
    launcher.communicate()
    assert launcher.returncode == 128 + kind
    wait_for(lambda: not any(map(running, begun())), "the jobs to end")
    assert (slurm[0] / "called").exists() and not (tmp_path / ".slurm").exists()


def test_controller_that_does_not_answer(slurm, tmp_path):
    """Jobs tell themselves how they ended."""
    launcher = begin(slurm, tmp_path, "x.log", "sh", "-c", "until [ -e go ]; do sleep 0.1; done")
    wait_for((tmp_path / "x.log").exists, "the job to begin")
    (slurm[0] / "down").touch()
    assert "squeue does not answer; waiting for it" in launcher.stderr.readline()
    (tmp_path / "go").touch()
    launcher.communicate()
    assert launcher.returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mem", "4X", "x.log", "true"], "--mem 4X: expected a size such as 500M or 4G"),
        (["--gpu"], "--gpu: a value is missing"),
        (["--num-threads", "no", "x.log", "true"], "--num-threads no: expected a whole number"),
        (["JOB=1:2", "x.log", "true"], "x.log: the jobs would write to one log; put JOB into its name"),
        (["x.log"], "expected a log file and a command; see run_slurm --help"),
        (["--config", "nowhere", "x.log", "true"], "--config nowhere: cannot be read: No such file or directory"),
        (["--config", "odd", "x.log", "true"], "odd, line 2: expected 'command WORDS', 'option NAME=VALUE WORDS' or"),
        (["odd/x.log", "true"], "odd/.slurm"),
    ],
)
def test_mistakes_have_one_clear_line(launch, tmp_path, words, message):
    (tmp_path / "odd").write_text("command sbatch\noption gpu\n")
    done = launch(*words)
    assert done.returncode == 1
    assert message in done.stderr and done.stderr.startswith("run_slurm: error: ")
    assert len(done.stderr.splitlines()) == 1


def test_what_sbatch_refuses_is_told(launch, slurm, tmp_path):
    (slurm[0] / "refuse").write_text("invalid partition: x\nsbatch: error: Batch job submission failed: Invalid")
    done = launch("x.log", "true")
    assert done.returncode == 1 and not (tmp_path / ".slurm").exists()
    assert "sbatch refused the jobs of x.log: invalid partition: x; Batch job submission failed: Invalid" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help(launch):
    done = launch("--help")
    assert done.returncode == 0 and "--config FILE" in done.stdout


def test_one_variable_chooses(tmp_path):
    roots = ["--preset", "tiny", "--data-root", tmp_path, "--exp-root", tmp_path, "--dry-run"]
    script = ". local/common.sh; echo $launcher"
    choose = ["bash", "-c", script, "recipe", *roots]
    assert run(choose).stdout == "local/launch/run_local\n"
    assert run(choose, cmd_backend="slurm").stdout == "local/launch/run_slurm --config conf/slurm.conf\n"
    done = run(choose, cmd_backend="pbs")
    assert done.returncode == 1 and "cmd_backend 'pbs': there are local and slurm (cmd.sh)" in done.stderr
