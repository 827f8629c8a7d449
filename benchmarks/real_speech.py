#!/usr/bin/env python3
"""Data directories of a little real speech, for experiments: speakers disjoint, impostors matched.

usage: benchmarks/real_speech.py [--folds N --fold K] [--add DATA_DIR] SPEECH OUT
       ./run.sh --corpus real --train-dir OUT/train --dev-dir OUT/dev --eval-dir OUT/eval

SPEECH is a folder with <corpus>.tsv (utt speaker session gender age seconds path) of speechocean762 and librispeech.

Method. All speakers are dealt in N hands (2) at random, always in the same way. OUT/eval has the speechocean762
speakers of hand K, from 0 (0); OUT/dev 20 of those of the next hand; OUT/train the rest and all LibriSpeech speakers,
whose long recordings are cut in pieces of about 3.5 s, and those of --add, a data directory with audio. Target trials
are all pairs of a speaker; impostors have the same gender and are at most 5 years older or younger. The N runs with K
from 0 to N - 1 test each speechocean762 speaker once: a cross-validation.
"""

import argparse
import csv
from itertools import combinations
from pathlib import Path

import numpy as np
from machine import ROOT  # noqa: F401  (puts the library on the path)

from xvkd import cli
from xvkd.errors import UserError
from xvkd.kaldi.datadir import write_data_dir
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.tables import read_table

CORPORA = ("speechocean762", "librispeech")
PIECE_SECONDS, DEV_SPEAKERS, MOST_YEARS = 3.5, 20, 5

Row = dict[str, str]


def read_lists(speech: Path, folds: int = 2) -> list[Row]:
    """All utterances of the corpora; ``fold`` says in which hand their speakers are."""
    rows = []
    for corpus in CORPORA:
        with open(speech / f"{corpus}.tsv", encoding="utf-8") as file:
            rows += [{**row, "corpus": corpus} for row in csv.DictReader(file, delimiter="\t")]
    speakers = sorted({row["speaker"] for row in rows})
    np.random.default_rng(0).shuffle(speakers)
    fold = {speaker: str(place % folds) for place, speaker in enumerate(speakers)}
    return [{**row, "fold": fold[row["speaker"]]} for row in rows]


def split(rows: list[Row], fold: int) -> dict[str, list[Row]]:
    """Train, dev and eval, by speaker."""
    # Hands are random, but names are not: in the order of names, children come first.
    following = str((fold + 1) % (1 + max(int(row["fold"]) for row in rows)))
    others = {row["speaker"] for row in rows if row["fold"] == following and row["corpus"] == CORPORA[0]}
    dev = sorted(others)[:DEV_SPEAKERS]
    sets: dict[str, list[Row]] = {"train": [], "dev": [], "eval": []}
    for row in rows:
        tested = row["fold"] == str(fold) and row["corpus"] == CORPORA[0]
        sets["eval" if tested else "dev" if row["speaker"] in dev else "train"].append(row)
    return sets


def pieces(row: Row, train: bool) -> int:
    """In how many pieces a recording is cut."""
    whole = not train or row["corpus"] != CORPORA[1]
    return 1 if whole else max(1, round(float(row["seconds"]) / PIECE_SECONDS))


def matched_trials(speakers: dict[str, Row]) -> list[str]:
    """Lines of all target trials, and of those between speakers of one gender and about one age.

    Args:
        speakers: utterance -> the row of its speaker.
    """
    lines = []
    for (a, one), (b, other) in combinations(speakers.items(), 2):
        same = one["speaker"] == other["speaker"]
        if same or (one["gender"] == other["gender"] and abs(int(one["age"]) - int(other["age"])) <= MOST_YEARS):
            lines.append(f"{a} {b} {'target' if same else 'nontarget'}\n")
    return lines


def write_set(folder: Path, rows: list[Row], speech: Path, train: bool, add: Path | None) -> None:
    """Writes one data directory."""
    tables: dict[str, dict[str, str]] = {
        name: {} for name in ("wav.scp", "segments", "utt2spk", "spk2gender", "utt2session")
    }
    keys: dict[str, Row] = {}
    for row in rows:
        count = pieces(row, train)
        recording = f"{row['speaker']}-{row['utt']}"
        tables["wav.scp"][recording] = str((speech / row["path"]).resolve())
        length = float(row["seconds"]) / count
        for number in range(count):
            keys[f"{recording}-{number}"] = row
            start, end = number * length, (number + 1) * length
            tables["segments"][f"{recording}-{number}"] = f"{recording} {start:.3f} {end:.3f}"
    for key, row in keys.items():
        tables["utt2spk"][key], tables["spk2gender"][row["speaker"]] = row["speaker"], row["gender"]
        tables["utt2session"][key] = row["session"]
    for name in ("wav.scp", "utt2spk", "spk2gender") if add else ():
        tables[name] |= read_table(add / name)
    if add:
        tables["segments"] |= {key: f"{key} 0 {seconds}" for key, seconds in read_table(add / "utt2dur").items()}
    write_data_dir(folder, tables)
    if not train:
        with atomic_write(folder / "trials") as file:
            file.writelines(matched_trials(dict(sorted(keys.items()))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--add", type=Path, metavar="DATA_DIR")
    parser.add_argument("speech", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    if args.folds < 2:
        raise UserError(f"--folds {args.folds}: expected at least 2")
    if not 0 <= args.fold < args.folds:
        raise UserError(f"--fold {args.fold}: expected one from 0 to {args.folds - 1}, as there are {args.folds} folds")
    for name, rows in split(read_lists(args.speech, args.folds), args.fold).items():
        train = name == "train"
        write_set(args.out / name, rows, args.speech, train, args.add if train else None)


if __name__ == "__main__":
    cli.run(main)
