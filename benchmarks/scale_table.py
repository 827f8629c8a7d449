"""The tables of benchmarks/scale.py."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scale_data


@dataclass
class Figure:
    """A measurement."""

    stage: str
    step: str
    utterances: int
    processor: float  # seconds
    clock: float
    gib: float
    disk: int  # bytes
    full: float  # how often what was measured goes into the step at the full size, at the same number of utterances


def report(records: list[dict]) -> Iterator[str]:
    """The tables, Markdown."""
    head = records[0]
    yield f"{head['machine']}; --scale {head['scale']:g} --frames {head['frames']:g}.\n"
    yield from table([Figure(**record["figure"]) for record in records if "figure" in record])
    yield "\n| chunks of 2 s from disk | processes beside the training | chunks a second | first batch after |"
    yield "|---|---:|---:|---:|"
    for record in {(r["chunks"], r["workers"]): r for r in records if "chunks" in r}.values():
        figures = f"{record['chunks_a_second']:,.0f} | {record['first']:.1f} s"
        yield f"| {record['chunks']} | {record['workers']} | {figures} |"


def table(figures: list[Figure]) -> Iterator[str]:
    """Markdown."""
    yield ("| stage | step | measured with | processor time at the full size | exponent | peak memory at the full size "
           "| disk |\n|---|---|---|---:|---:|---:|---:|")
    for stage, name in dict.fromkeys((figure.stage, figure.step) for figure in figures):
        own = [f for f in figures if (f.stage, f.step) == (stage, name)]
        own = sorted({f.utterances: f for f in own}.values(), key=lambda f: f.utterances)[-3:]
        if len(own) < 3:
            continue
        sizes = np.array([f.utterances for f in own], float)
        full = scale_data.UTTERANCES
        (slope, base), (growth, least) = (
            np.polyfit(sizes, [getattr(f, key) for f in own], 1) for key in ("processor", "gib")
        )  # fmt: skip
        seconds = (base + slope * full) * own[-1].full
        memory = max(least + growth * full, own[-1].gib)
        exponent = math.log(own[-1].processor / own[0].processor, sizes[-1] / sizes[0])
        disk = own[-1].disk * own[-1].full * full / sizes[-1]
        part = f", of 1/{own[-1].full}" if own[-1].full > 1 else ""
        yield (
            f"| {stage} | {name} | {int(sizes[-1]):,} utterances{part}: {own[-1].processor:.1f} s, {own[-1].gib:.2f} "
            f"GiB | {spell(seconds)} | {exponent:.2f} | {memory:.1f} GiB | "
            f"{f'{disk / 1e9:.1f} GB' if disk > 5e7 else '-'} |"
        )


def spell(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
