"""How commands speak with the user: parts, overrides, and errors without tracebacks."""

import argparse
import os
import re
import subprocess
import sys

import pytest

from xvkd import cli


@pytest.mark.parametrize(("text", "expected"), [("1/1", (1, 1)), ("3/4", (3, 4)), ("4/4", (4, 4))])
def test_parts(text, expected):
    assert cli.part(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JOB/NUM_JOBS"), ("3", "expected JOB/NUM_JOBS"), ("a/4", "expected JOB/NUM_JOBS"),
        ("1/2/3", "expected JOB/NUM_JOBS"), ("1.5/3", "expected JOB/NUM_JOBS"), ("0/4", "between 1 and"),
        ("5/4", "between 1 and"), ("-1/4", "between 1 and"),
    ],
)  # fmt: skip
def test_impossible_parts_are_told(text, message):
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}'.*{message}"):
        cli.part(text)


def test_overrides_gather():
    parser = cli.parser("x")
    cli.add_overrides(parser)
    assert parser.parse_args([]).set == []
    assert parser.parse_args(["--set", "a=1", "--set", "b.c=2 3"]).set == ["a=1", "b.c=2 3"]


def run_command(body):
    """Runs a command whose main() has this body; returns the finished process."""
    imports = "import logging\nfrom xvkd import cli\nfrom xvkd.errors import UserError"
    script = f"{imports}\ndef main():\n    {body}\ncli.run(main)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run([sys.executable, "-c", script], env=environment, text=True, capture_output=True)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("raise UserError('x.wav: empty; remove it')", 1, "error: x.wav: empty; remove it"),
        ("open('/nowhere/at all')", 1, "error: /nowhere/at all: No such file or directory"),
        ("open('/')", 1, "error: /: Is a directory"),
        ("raise OSError(28, 'No space left on device')", 1, "error: No space left on device"),
        ("raise KeyboardInterrupt", 130, ""),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_status(body, status, message):
    done = run_command(body)
    assert done.returncode == status and done.stdout == ""
    assert done.stderr.strip().endswith(message) and len(done.stderr.splitlines()) == (1 if message else 0)


@pytest.mark.parametrize("body", ["raise ValueError('a bug')", "raise OSError('without a number: a bug')"])
def test_a_mistake_of_ours_keeps_its_traceback(body):
    done = run_command(body)
    assert done.returncode == 1 and "Traceback" in done.stderr and "a bug" in done.stderr


def test_a_command_that_ends_well_logs_with_time_to_stderr():
    done = run_command("logging.info('12 utterances')")
    assert done.returncode == 0 and done.stdout == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 12 utterances\n", done.stderr)
