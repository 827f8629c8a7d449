#!/usr/bin/env python3
"""Says whether this Python has the packages of requirements files, without importing them.

usage: check_environment.py REQUIREMENTS...

Each file has lines "name>=version" or "name==version", which both mean at least that version here, perhaps
with a marker on python_version. Prints what is missing and returns 1, or returns 0. Needs nothing but
Python's own library.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version, without zeros at the end: 2.13.0+cpu -> (2, 13), so that 2.0 is 2."""
    parts = [int(part) for part in re.findall(r"\d+", re.match(r"[\d.]*", text)[0])]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def applies(marker: str) -> bool:
    """Whether a marker such as python_version >= "3.11" holds; an empty one does."""
    if not marker:
        return True
    comparison, least = re.fullmatch(r'python_version (<|>=) "([\d.]+)"', marker.strip()).groups()
    return (sys.version_info[:2] >= numbers(least)) == (comparison == ">=")


def problem(requirement: str) -> str | None:
    requirement, _, marker = requirement.partition(";")
    if not applies(marker):
        return None
    name, least = re.split(r">=|==", requirement.strip())
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed"
    return f"{name} {found} is older than {least}" if numbers(found) < numbers(least) else None


def main() -> None:
    if sys.version_info < (3, 10):  # noqa: UP036 (any Python may run this)
        sys.exit(f"Python {sys.version.split()[0]} is older than 3.10")
    text = "\n".join(Path(path).read_text(encoding="utf-8") for path in sys.argv[1:])
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    problems = [found for found in (problem(line) for line in lines if line) if found]
    if problems:
        sys.exit("; ".join(problems))


if __name__ == "__main__":
    main()
