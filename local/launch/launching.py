"""What launchers share: Kaldi's calling convention, logs, the line that shows progress, and that nothing is left.

Needs nothing but Python's own library.
"""

import contextlib
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType

SECONDS_BETWEEN_LINES = 20.0
TAIL_LINES, TAIL_BYTES = 15, 2**16
PROGRESS = re.compile(r"progress (\d+)/(\d+) ([^,]+), ([\d:]+) left(.*)")
JOB_WORD = re.compile(r"(?<![A-Za-z0-9_])JOB(?![A-Za-z0-9_])")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NAME = os.path.basename(sys.argv[0])


def fail(message: str) -> None:
    sys.exit(f"{NAME}: error: {message}")


def say(message: str) -> None:
    print(f"{NAME}: {message}", file=sys.stderr, flush=True)


def whole(option: str, text: str, least: int = 1) -> int:
    """The value of an option that is a whole number."""
    if not text.isdigit() or int(text) < least:
        fail(f"{option} {text}: expected a whole number of at least {least}")
    return int(text)


def memory(text: str) -> int:
    """Bytes, from a size such as 4G."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT])B?", text.upper())
    if not match:
        fail(f"--mem {text}: expected a size such as 500M or 4G")
    return int(float(match[1]) * UNITS[match[2]])


def fill(text: str, job: int) -> str:
    """Puts a job's number in the place of the word JOB."""
    return JOB_WORD.sub(str(job), text)


class Call:
    """A parsed command line: options by name, jobs ``first`` to ``last`` of an ``array`` or one alone, log, command."""

    def __init__(self, words: list[str], usage: str) -> None:
        self.options: dict[str, str] = {}
        self.first = self.last = 1
        self.array = False
        while words and words[0].startswith("--"):
            option, *words = words
            if option == "--help":
                print(usage)
                sys.exit(0)
            if not words:
                fail(f"{option}: a value is missing")
            self.options[option[2:].replace("-", "_")], *words = words
        self._words = words

    def check(self, known: Iterable[str]) -> None:
        """Options and jobs that make no sense are an error.

        Args:
            known: names of the options that the launcher has.
        """
        names = [f"--{name.replace('_', '-')}" for name in known]
        for name in self.options:
            option = f"--{name.replace('_', '-')}"
            if option not in names:
                fail(f"{option}: unknown option (there are {', '.join(names)})")
        words = self._words
        match = re.fullmatch(r"JOB=(\d+)(?::(\d+))?", words[0]) if words else None
        if match:
            self.first, self.last = int(match[1]), int(match[2] or match[1])
            self.array = True
            words = words[1:]
            if not 1 <= self.first <= self.last:
                fail(f"{match[0]}: expected JOB=FIRST:LAST with 1 <= FIRST <= LAST")
        if len(words) < 2:
            fail(f"expected a log file and a command; see {NAME} --help")
        self.log, *self.command = words
        if self.last > self.first and not JOB_WORD.search(self.log):
            fail(f"{self.log}: the jobs would write to one log; put JOB into its name")

    def number(self, name: str, otherwise: int, least: int = 1) -> int:
        """The value of an option that is a whole number."""
        text = self.options.get(name)
        return otherwise if text is None else whole(f"--{name.replace('_', '-')}", text, least)

    def fill(self, text: str, job: int) -> str:
        """Puts a job's number in the place of the word JOB."""
        return fill(text, job) if self.array else text


def head(command: Sequence[str], host: str = "") -> str:
    """The first lines of a job's log, as Kaldi has them."""
    running = f"# Running on {host}\n" if host else ""
    return f"# {shlex.join(command)}\n{running}# Started at {time.ctime()}\n#\n"


def trailer(status: int, seconds: int, threads: int) -> str:
    """The last lines of a job's log, as Kaldi has them."""
    return (
        f"# Accounting: time={seconds} threads={threads}\n"
        f"# Ended (code {status}) at {time.ctime()}, elapsed time {seconds} seconds\n"
    )


def tail(log: Path, size: int = TAIL_BYTES) -> str:
    """The last ``size`` bytes of a log, or nothing if there is none (any more)."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def progress(log: Path) -> tuple[float, float, str] | None:
    """Share that is done, seconds left and note of the last progress line in a log."""
    found = PROGRESS.findall(tail(log, 4096))
    if not found:
        return None
    done, total, _, left, note = found[-1]
    seconds = 0
    for part in left.split(":"):
        seconds = 60 * seconds + int(part or 0)
    return int(done) / max(int(total), 1), seconds, note


def report(what: str, log: Path) -> None:
    """Says what failed, and shows the end of a log."""
    print(f"{NAME}: {what}. The end of {log}:", file=sys.stderr)
    lines = tail(log).splitlines()
    print("\n".join("    " + line for line in lines[-TAIL_LINES:]), file=sys.stderr)


class Display:
    """One line about all jobs: rewritten on a terminal, else written now and then."""

    def __init__(self, jobs: int) -> None:
        self._jobs, self._start, self._shown = jobs, time.monotonic(), time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._finished = 0.0
        self._width = 0

    def finish(self) -> None:
        self._finished += 1

    def show(self, running: Sequence[Path], waiting: str = "") -> None:
        """Shows the line, if it is time to.

        Args:
            running: logs of the jobs that run.
            waiting: what to show where none does.
        """
        now = time.monotonic()
        if now - self._shown < (1.0 if self._terminal else SECONDS_BETWEEN_LINES):
            return
        self._shown = now
        known = [found for found in map(progress, running) if found]
        share = (self._finished + sum(done for done, _, _ in known)) / self._jobs
        jobs = f"; {int(self._finished)} of {self._jobs} jobs done" if self._jobs > 1 else ""
        if waiting and not running:
            line = f"    {waiting}{jobs}"
        elif share > 0:
            left = self._left(now - self._start, len(running), known)
            note = known[0][2] if len(running) == 1 and known else ""
            line = f"    {share:4.0%}, {int(left // 60)}:{int(left % 60):02d} left{jobs}{note}"
        else:
            return
        if self._terminal:
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def _left(self, elapsed: float, running: int, known: list[tuple[float, float, str]]) -> float:
        """Seconds left, by what the jobs themselves say: one that was resumed knows what it did earlier."""
        whole = [left / (1 - done) for done, left, _ in known if done < 1]
        if not whole:
            jobs_left = self._jobs - self._finished - sum(done for done, _, _ in known)
            return elapsed * jobs_left / max(self._jobs - jobs_left, 1e-9)
        average = sum(whole) / len(whole)
        silent = running - len(known)
        waiting = self._jobs - self._finished - running
        told = [left for _, left, _ in known]
        return max(*told, (sum(told) + (silent + waiting) * average) / running)

    def clear(self) -> None:
        if self._terminal and self._width:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)
            self._width = 0


class Guard:
    """A process that ends what is left of the jobs when the launcher is gone, however it went.

    Args:
        end: is then called with the names, without spaces, that have entered and not left.
    """

    def __init__(self, end: Callable[[set[str]], None]) -> None:
        reading, self._writing = os.pipe()
        if os.fork() == 0:
            try:
                os.setsid()
                os.close(self._writing)
                end(self._left(reading))
            finally:
                os._exit(0)
        os.close(reading)

    @staticmethod
    def _left(reading: int) -> set[str]:
        names = set()
        # Ends when nobody can write any more: the launcher is gone, and a job closes its copy when it begins.
        with open(reading, encoding="ascii") as lines:
            for line in lines:
                (names.add if line[0] == "+" else names.discard)(line[1:].strip())
        return names

    def enter(self, name: object) -> None:
        self._tell(f"+{name}\n")

    def leave(self, name: object) -> None:
        self._tell(f"-{name}\n")

    def _tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._writing, line.encode())


def interrupt(number: int, frame: FrameType | None) -> None:
    """Ends the launcher."""
    # Once: nothing may keep the launcher from ending its jobs.
    for kind in SIGNALS:
        signal.signal(kind, signal.SIG_IGN)
    raise SystemExit(128 + number)


def heed_signals(handler: Callable[[int, FrameType | None], None] = interrupt) -> None:
    """Ctrl-C and its like call the handler."""
    for kind in SIGNALS:
        # What nohup has made the launcher ignore stays ignored.
        if signal.getsignal(kind) != signal.SIG_IGN:
            signal.signal(kind, handler)


def alive(process: int) -> bool:
    """False also for a process that has ended but that its parent has not asked after (Linux)."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return not os.path.exists("/proc/self")


def check_callers() -> None:
    """Fails if a script that runs the launcher was killed."""
    if not all(alive(int(number)) for number in os.environ.get("XVKD_CALLERS", "").split()):
        fail("the script that runs these jobs was killed: they are ended")
