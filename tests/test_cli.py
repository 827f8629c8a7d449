"""How commands speak with the user: parts, overrides, and errors without tracebacks."""

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest

from xvkd import cli
from xvkd.config import choices, limits
from xvkd.errors import UserError


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


@dataclass
class Options:
    """A configuration file of two sections' worth of keys."""

    window: int = limits(1)
    edge_share: float = limits(0.0, 1.0)
    center: bool
    kind: str = choices("a", "b")


def schema_values(*argv, names=(), absent=None):
    parser = cli.parser("x")
    cli.add_schema(parser, Options, names, absent)
    parser.add_argument("input", nargs="?")
    return cli.schema_values(parser.parse_args(argv))


ALL = ("--window=300", "--edge-share=0.5", "--center=true", "--kind=a")
VALUES = {"window": 300, "edge_share": 0.5, "center": True, "kind": "a"}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("window: 300\nedge_share: 0.5\ncenter: true\nkind: a\n")
    return str(path)


def test_values_come_from_the_command_line_in_kaldis_spelling():
    assert schema_values(*ALL) == VALUES
    assert schema_values(*ALL[:2], "--kind=b", "--center", "--", "in.scp") == VALUES | {"kind": "b"}


def test_values_come_from_the_file_unless_they_are_given(file):
    assert schema_values("--config", file) == VALUES
    assert schema_values("--config", file, "--center=false", "--edge-share=1") == VALUES | {
        "center": False, "edge_share": 1.0,
    }  # fmt: skip


def test_a_command_can_take_some_of_the_keys(file):
    assert schema_values("--window=5", names=("window",)) == {"window": 5}
    assert schema_values("--config", file, names=("window", "kind")) == {"window": 300, "kind": "a"}


def test_keys_that_may_be_absent(file):
    absent = {"window": None}
    assert schema_values("--center=true", names=("window", "center"), absent=absent) == {"window": None, "center": True}
    assert schema_values(*ALL[1:], absent={"window": 7}) == VALUES | {"window": 7}
    assert schema_values("--config", file, absent={"window": 7}) == VALUES


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (ALL[1:], "--window: not given; give it, or a --config that has it"),
        (("--window=0", *ALL[1:]), "command line: window: 0 is impossible .*at least 1"),
        (("--window=x", *ALL[1:]), "command line: window: .*'x'"),
        ((*ALL[:3], "--kind=c"), "command line: kind: c is impossible .*one of a, b"),
        ((*ALL[:3], "--kind=["), "command line: "),
    ],
)
def test_wrong_values_are_told(argv, message):
    with pytest.raises(UserError, match=message):
        schema_values(*argv)


def test_a_flag_does_not_swallow_what_follows(capsys):
    with pytest.raises(SystemExit):
        schema_values(*ALL[:2], "--kind=a", "--center", "in.scp")
    assert "'in.scp': expected =true or =false" in capsys.readouterr().err
