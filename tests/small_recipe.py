"""A run of the whole recipe on a very small corpus, and whether it reached the result of an undisturbed one."""

import json
import re
from pathlib import Path

from shell import ROOT, run

SPEAKERS = {"train": 8, "dev": 4, "eval": 4}
OPTIONS = [
    "--preset", "tiny", "--nj", "2", "--students", "label frame+segment6",
    "--corpus-set", " ".join(f"options.sets.{name}.speakers={number}" for name, number in SPEAKERS.items()),
]  # fmt: skip
# Points of EER; everything is deterministic, but a resumed sum may round otherwise.
TOLERANCE = 0.05


def command(root: Path, *options: str) -> list[str]:
    roots = ["--data-root", root / "data", "--exp-root", root / "exp"]
    return list(map(str, [ROOT / "run.sh", *OPTIONS, *roots, *options]))


def eers(root: Path) -> dict[tuple[str, str, str], float]:
    records = json.loads((root / "exp" / "tiny" / "results" / "results.json").read_text())
    # Of scores that 8-bit weights have made coarse, rounding may move one past another, and so a whole trial.
    return {
        (record["system"], record["set"], record["scoring"]): record["eer_percent"]
        for record in records if not record["system"].endswith(".int8")
    }  # fmt: skip


def assert_undisturbed(root: Path, expected: dict[tuple[str, str, str], float], **changes: str) -> None:
    """A plain run reaches the expected error rates and leaves nothing half-written.

    Args:
        root: where its data and experiment are.
        expected: error rates, by system, set and scoring.
        changes: variables of its environment.
    """
    done = run(command(root), **changes)
    assert done.returncode == 0, done.stderr
    found = eers(root)
    assert found.keys() == expected.keys()
    apart = {key: (found[key], expected[key]) for key in expected if abs(found[key] - expected[key]) > TOLERANCE}
    assert not apart, apart
    again = run(command(root), **changes)
    assert again.returncode == 0 and not re.findall(r" (?:changed since|is missing)", again.stderr)
