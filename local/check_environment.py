#!/usr/bin/env python3
"""Says whether this Python has the packages of a requirements file, without importing them.

usage: check_environment.py REQUIREMENTS

REQUIREMENTS has lines "name>=version" and comments. Prints what is missing and returns 1, or returns 0.
Needs nothing but Python's own library.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: 2.13.0+cpu -> (2, 13, 0)."""
    return tuple(int(part) for part in re.findall(r"\d+", re.match(r"[\d.]*", text)[0]))


def problem(requirement: str) -> str | None:
    name, least = requirement.split(">=")
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed"
    return f"{name} {found} is older than {least}" if numbers(found) < numbers(least) else None


def main() -> None:
    if sys.version_info < (3, 10):
        sys.exit(f"Python {sys.version.split()[0]} is older than 3.10")
    lines = [line.split("#")[0].strip() for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    problems = [found for found in (problem(line) for line in lines if line) if found]
    if problems:
        sys.exit("; ".join(problems))


if __name__ == "__main__":
    main()
