"""SLURM as run_slurm sees it: its configuration, its programs, and the jobs of one call of sbatch.

Neither `sbatch --wait`, which returns 0 for a job that was cancelled while it waited, nor accounting, which is often
off, is asked: jobs say themselves how they ended, and squeue says which there are.
"""

import contextlib
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from launching import Call, alive, check_callers, fail, heed_signals, interrupt, memory, say

# Seconds: that a program of SLURM's may take; between two attempts; that a controller which does not answer is waited
# for; that jobs may take to end when they are cancelled (SLURM's KillWait is 30).
PROGRAM_SECONDS, RETRY_SECONDS, PATIENCE, CANCEL_SECONDS = 60.0, 3.0, 600.0, 90.0
UNANSWERED = re.compile(r"contact slurm|timed out|temporarily|connect|communication|try again", re.IGNORECASE)
ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
# Why a job waits for ever, unless somebody changes it or the cluster.
NEVER = {
    "BadConstraints", "DependencyNeverSatisfied", "InvalidAccount", "InvalidQOS", "PartitionConfig",
    "PartitionTimeLimit", "launch_failed_requeued_held", "launch failed requeued held",
}  # fmt: skip


class Answer(NamedTuple):
    """What a program of SLURM's said; ``status`` is None if it took too long."""

    status: int | None
    out: str
    error: str


def slurm(*words: str) -> Answer:
    """Runs a program of SLURM's; in a session of its own, so that Ctrl-C does not end it half-way."""
    environment = {
        name: value for name, value in os.environ.items()
        # Neither the processes of this machine nor the job that this launcher may itself be are those of the jobs.
        if name != "XVKD_CALLERS" and (not name.startswith("SLURM_") or name in ("SLURM_CONF", "SLURM_CLUSTERS"))
    }  # fmt: skip
    try:
        done = subprocess.run(
            words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=PROGRAM_SECONDS, start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Answer(None, "", f"no answer in {PROGRAM_SECONDS:.0f} s")
    except OSError as error:
        fail(f"{words[0]}: {error.strerror}: SLURM's programs are not here; run this where jobs can be submitted, or "
             "with cmd_backend=local (cmd.sh)")  # fmt: skip
    error = re.sub(rf"(^|\n){words[0]}: (error: )?", r"\1", done.stderr).strip().replace("\n", "; ")
    return Answer(done.returncode, done.stdout, error)


class Task(NamedTuple):
    """A job as squeue tells of it: its state, such as RUNNING, and the reason why it waits."""

    state: str
    reason: str

    @property
    def active(self) -> bool:
        return bool(self.state) and self.state not in ENDED


GONE = Task("", "")


def tasks(*which: str) -> dict[int, Task] | None:
    """The tasks of an array by number, or None if SLURM does not tell; those that it has forgotten are not there."""
    answer = slurm("squeue", *which, "--array", "--states=all", "--noheader", "--format=%K|%T|%r")
    if answer.status != 0:
        return {} if "invalid job id" in answer.error.lower() else None
    fields = (line.strip().split("|", 2) for line in answer.out.splitlines() if line.count("|") >= 2)
    return {int(number): Task(state, reason) for number, state, reason in fields if number.isdigit()}


def cancel(name: str) -> bool:
    """Cancels the jobs of a name, and waits until none is left; False if that is not certain."""
    end = time.monotonic() + CANCEL_SECONDS
    while True:
        slurm("scancel", f"--name={name}")
        found = tasks(f"--name={name}")
        if found is not None and not any(task.active for task in found.values()):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(1)


def abandon(names: set[str]) -> None:
    """What the launcher's guard does: nobody listens, and an sbatch may still be on its way."""
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    for name in names:
        for _ in range(5):
            if not cancel(name):
                break
            time.sleep(RETRY_SECONDS)


def limit_of_arrays() -> int:
    """The largest number that a task of an array may have."""
    answer = slurm("scontrol", "show", "config")
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", answer.out, re.MULTILINE)
    # SLURM's default. A controller that does not answer now does so, or not, when jobs are submitted.
    size = int(found[1]) if found else 1001
    if size < 2:
        fail(f"SLURM allows no arrays of jobs here (MaxArraySize = {size})")
    return size - 1


class Config:
    """What options of jobs are for sbatch: a file in the style of Kaldi's slurm.conf.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.command = ["sbatch"]
        self._words: dict[tuple[str, str], list[str]] = {}
        self._defaults: dict[str, str] = {}
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            fail(f"--config {path}: cannot be read: {getattr(error, 'strerror', error)}")
        for number, line in enumerate(lines, 1):
            try:
                words = shlex.split(line, comments=True)
            except ValueError as error:
                fail(f"{path}, line {number}: {error}")
            kind, setting = (words + ["", ""])[:2]
            name, equals, value = setting.partition("=")
            if kind == "command" and setting:
                self.command = words[1:]
            elif kind == "option" and name and equals:
                self._words[name, value] = words[2:]
            elif kind == "default" and name and equals and len(words) == 2:
                self._defaults[name] = value
            elif words:
                fail(f"{path}, line {number}: expected 'command WORDS', 'option NAME=VALUE WORDS' or "
                     "'default NAME=VALUE'")  # fmt: skip

    def names(self) -> list[str]:
        """The options that there are."""
        return list(dict.fromkeys(name for name, _ in self._words))

    def options(self, given: dict[str, str]) -> list[str]:
        """What a call's options are for sbatch."""
        words = []
        for name, value in {**self._defaults, **given}.items():
            if name == "mem" and value != "0":
                # SLURM knows no fractions.
                value = f"{-(-memory(value) // 2**20)}M"
            found = self._words.get((name, value), self._words.get((name, "*")))
            if found is None and name == "max_jobs_run":
                continue  # the array says it
            if found is None:
                fail(f"--{name.replace('_', '-')} {value}: {self.path} has neither 'option {name}={value}' nor "
                     f"'option {name}=*'")  # fmt: skip
            words += [word.replace("$0", value) for word in found]
        return words


class Status(NamedTuple):
    """What a job has left: its exit status, negative for a signal; the signal that asked it to stop, if one did."""

    code: int
    stopped: int | None
    host: str


class Array:
    """Jobs ``first`` to ``last`` of a call, which become one array.

    Its folder, ``.slurm/NAME`` beside the first log, has what tasks need and what they leave. The name, which nothing
    else on the cluster has, is the jobs' as well: so they can be found whether or not sbatch could answer.
    """

    def __init__(self, call: Call, first: int, last: int, base: int) -> None:
        self.call, self.first, self.last, self.base = call, first, last, base
        self.job, self.may_run = "", False
        place = self.log(first).parent / ".slurm"
        stem = re.sub(r"[^A-Za-z0-9_.+-]", "_", Path(call.log).name)
        self._earlier = sorted(place.glob(f"{stem}.*"))
        self.name = f"{stem}.{secrets.token_hex(4)}"
        self.folder = place / self.name

    def log(self, job: int) -> Path:
        return Path(self.call.fill(self.call.log, job))

    def prepare(self) -> None:
        """Ends what is left of an earlier call with these logs, and makes the folder."""
        for earlier in self._earlier:
            host, process = ((earlier / "owner").read_text().split() if (earlier / "owner").exists() else ["", "0"])[:2]
            if host == socket.gethostname() and alive(int(process)):
                fail(f"{self.call.log}: process {process} has jobs that write there; wait for its end, or end it")
            say(f"cancelling what is left of an earlier call: {earlier.name}")
            if not cancel(earlier.name):
                fail(f"{earlier}: jobs of an earlier call could not be cancelled; do so (scancel "
                     f"--name={earlier.name}), and remove this folder")  # fmt: skip
            shutil.rmtree(earlier, ignore_errors=True)
        words = [self.call.log, *self.call.command]
        told = {
            "words": words, "array": self.call.array, "base": self.base, "threads": self.call.number("num_threads", 1),
            "gpu": self.call.number("gpu", 0, least=0),
        }  # fmt: skip
        try:
            self.folder.mkdir(parents=True)
            (self.folder / "owner").write_text(f"{socket.gethostname()} {os.getpid()}\n")
            (self.folder / "call").write_text(json.dumps(told))
            task = [str(Path(__file__).resolve().parent / "slurm_task"), str(self.folder)]
            (self.folder / "script").write_text(f"#!/bin/sh\nexec {shlex.join(task)}\n", errors="surrogateescape")
            for job in range(self.first, self.last + 1):
                self.log(job).parent.mkdir(parents=True, exist_ok=True)
                self.log(job).unlink(missing_ok=True)
        except OSError as error:
            fail(f"{error.filename}: cannot be written: {error.strerror}")

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()  # unless other calls have theirs there

    def submit(self, config: Config) -> None:
        """Hands the jobs to SLURM; waits for a controller that does not answer.

        A signal that comes meanwhile is heeded afterwards, when it is known what there is to cancel.
        """
        most = f"%{self.call.number('max_jobs_run', 1)}" if "max_jobs_run" in self.call.options else ""
        output = str(self.folder).replace("%", "%%") + "/slurm.%a"
        if "\\" in output:
            output = os.devnull  # SLURM would not put the number in
        # An option would outdo the variable.
        requeue = [] if "SBATCH_NO_REQUEUE" in os.environ else ["--requeue"]
        words = [
            config.command[0], *requeue, "--open-mode=append", f"--output={output}", *config.command[1:],
            *config.options(self.call.options), "--parsable", f"--job-name={self.name}",
            f"--array={self.first - self.base}-{self.last - self.base}{most}", str(self.folder / "script"),
        ]  # fmt: skip
        end = time.monotonic() + PATIENCE
        with deferred() as came:
            answer = self._try(words)
            while not self.job and not came:
                if answer.status is not None and not UNANSWERED.search(answer.error):
                    self.may_run = False
                    fail(f"sbatch refused the jobs of {self.call.log}: {answer.error}; see {config.path} and cmd.sh")
                if time.monotonic() > end:
                    fail(f"the jobs of {self.call.log} could not be submitted: {answer.error}")
                check_callers()
                say(f"sbatch: {answer.error}; trying again")
                time.sleep(RETRY_SECONDS)
                # It may have been heard although no answer came.
                heard = slurm("squeue", f"--name={self.name}", "--noheader", "--format=%F")
                self.job = (heard.out.split() + [""])[0]
                if heard.status == 0 and not self.job:
                    answer = self._try(words)

    def _try(self, words: list[str]) -> Answer:
        self.may_run = True
        answer = slurm(*words)
        if answer.status == 0:
            self.job = answer.out.strip().split(";")[0]
        return answer

    def tasks(self) -> dict[int, Task] | None:
        """SLURM's word on each job, by number; None if it says nothing."""
        found = tasks(f"--jobs={self.job}")
        return None if found is None else {number + self.base: task for number, task in found.items()}

    def cancel_waiting(self) -> None:
        """Cancels the jobs that have not begun."""
        slurm("scancel", "--state=PENDING", self.job)

    def statuses(self, jobs: set[int]) -> dict[int, Status] | None:
        """What jobs have left, by number; None if the folder is not to be seen."""
        try:
            # A listing asks a file server anew, where a look for a file may be answered from memory.
            left = {int(name[7:]) for name in os.listdir(self.folder) if name.startswith("status.")} & jobs
            told = {job: json.loads((self.folder / f"status.{job}").read_text()) for job in left}
        except OSError:
            return None
        return {job: Status(found["code"], found["stopped"], found["host"]) for job, found in told.items()}

    def explain(self, job: int, text: str) -> None:
        """Writes to a job's log what SLURM had to say of it, and how it ended."""
        output = self.folder / f"slurm.{job - self.base}"
        with contextlib.suppress(OSError):
            said = output.read_text(errors="replace") if output.exists() else ""
            with self.log(job).open("a", errors="replace") as log:
                log.write(f"{said}# {text}\n")


@contextlib.contextmanager
def deferred() -> Iterator[list[int]]:
    """Signals that come meanwhile are heeded afterwards; gives the list of those that have come."""
    came: list[int] = []
    heed_signals(lambda number, frame: came.append(number))
    try:
        yield came
    finally:
        heed_signals()
        if came:
            interrupt(came[0], None)
