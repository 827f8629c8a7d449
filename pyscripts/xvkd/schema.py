"""What the fields of a schema may hold. Apart from ``config``: a schema alone is quick to import."""

import dataclasses
from typing import Any


def limits(low: float | None = None, high: float | None = None) -> Any:
    """A dataclass field whose number (or each number of its list) lies in [low, high]."""
    return dataclasses.field(metadata={"low": low, "high": high})


def choices(*allowed: str) -> Any:
    """A dataclass field whose value (or each value of its list) is one of ``allowed``."""
    return dataclasses.field(metadata={"choices": allowed})
