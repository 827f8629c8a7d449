#!/usr/bin/env python3
"""What the HMM VAD changes against the energy VAD: in frames, where the truth is known, and in EER.

usage: benchmarks/vad.py prepare SPEECH OUT        audio, Kaldi data directories and trials for run.sh
       benchmarks/vad.py frames SPEECH             the table of frames
       benchmarks/vad.py compare EXP_A EXP_B       EER (PLDA) of the teachers of two experiments, and their ratio

SPEECH is a folder with <corpus>.tsv (utt speaker session gender age seconds path) of speechocean762 and librispeech.

Method. Speakers are split in two halves at random. The HMM's constants were tuned on frames of one of them; frames and
EER are reported on the other. The test set is the speechocean762 speakers of the other half; dev is 20 of those of the
first, and the rest of the first, with all LibriSpeech speakers (in pieces of 3.5 s), is for training. Target trials
are all pairs of a speaker, impostors have the same gender and are at most 5 years older or younger. "clean" are the
recordings as they are. "noisy" has 1 to 3 s of no speech on each side, and over all of it steady noise, white to
-6 dB an octave, 5 to 10 dB below the recording.

Frames: speech is what lies within 20 dB of the recording's 95th percentile before anything was added; silence is the
padding, 10 frames or more from the recording.
"""

import argparse
import csv
import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import soundfile
from machine import ROOT

from xvkd import config
from xvkd.evaluation.bootstrap import Comparison, SpeakerBootstrap
from xvkd.evaluation.metrics import eer
from xvkd.evaluation.report import EvaluationConfig
from xvkd.features.extraction import FeatureConfig, FeatureExtractor
from xvkd.features.vad import energy_vad
from xvkd.features.vad_hmm import hmm_vad
from xvkd.features.vads import load_vad

RATE, SHIFT = 16000, 160
CORPORA = ("speechocean762", "librispeech")
PIECE_SECONDS, DEV_SPEAKERS, MOST_YEARS = 3.5, 20, 5
NEAR_PEAK = 20 / 4.343  # 20 dB in natural logarithms
FAR_FRAMES = 10
FRAME_UTTERANCES = 150


def read_lists(speech: Path) -> list[dict[str, str]]:
    """All utterances of the corpora; ``half`` says on which side of the split their speakers are."""
    rows = []
    for corpus in CORPORA:
        with open(speech / f"{corpus}.tsv", encoding="utf-8") as file:
            rows += [{**row, "corpus": corpus} for row in csv.DictReader(file, delimiter="\t")]
    speakers = sorted({row["speaker"] for row in rows})
    np.random.default_rng(0).shuffle(speakers)
    half = {speaker: ("report", "tune")[place % 2] for place, speaker in enumerate(speakers)}
    return [{**row, "half": half[row["speaker"]]} for row in rows]


def read(speech: Path, row: dict[str, str]) -> np.ndarray:
    return soundfile.read(speech / row["path"], dtype="int16")[0].astype(np.float64)


def noise(samples: int, tilt: float, random: np.random.Generator) -> np.ndarray:
    """Steady noise of unit power, ``tilt`` dB an octave."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(samples, 1 / RATE), 60) / 1000)
    found = np.fft.irfft(np.fft.rfft(random.standard_normal(samples)) * 10 ** (tilt * octaves / 20), samples)
    return found / found.std()


def degrade(
    samples: np.ndarray, snr: float, seconds: list[float], tilt: float, random: np.random.Generator
) -> np.ndarray:
    """Padding of so many seconds on each side, then noise over all of it (none if ``snr`` is infinite); int16."""
    padded = np.pad(samples, [round(RATE * side) for side in seconds])
    if np.isfinite(snr):
        padded += noise(len(padded), tilt, random) * samples.std() * 10 ** (-snr / 20)
    return np.clip(np.rint(padded), -32768, 32767).astype(np.int16)


def prepare(speech: Path, out: Path) -> None:
    """Writes <out>/{clean,noisy}/{train,dev,eval} and their audio."""
    random, rows = np.random.default_rng(1), read_lists(speech)
    tuned = {row["speaker"] for row in rows if row["half"] == "tune" and row["corpus"] == CORPORA[0]}
    dev = sorted(tuned)[:DEV_SPEAKERS]
    sets: dict[str, list[dict[str, str]]] = {"train": [], "dev": [], "eval": []}
    for row in rows:
        tested = row["half"] == "report" and row["corpus"] == CORPORA[0]
        sets["eval" if tested else "dev" if row["speaker"] in dev else "train"].append(row)
    for name, chosen in sets.items():
        ids: dict[str, list[dict[str, str]]] = {"clean": [], "noisy": []}
        for row in chosen:
            samples = read(speech, row)
            pieces = [samples]
            if row["corpus"] == CORPORA[1] and name == "train":
                pieces = np.array_split(samples, max(1, round(len(samples) / RATE / PIECE_SECONDS)))
            for number, piece in enumerate(pieces):
                key = f"{row['speaker']}-{row['utt']}-{number}"
                sides, snr, tilt = random.uniform(1, 3, 2), random.uniform(5, 10), random.uniform(-6, 0)
                for kind, audio in (
                    ("clean", piece.astype(np.int16)), ("noisy", degrade(piece, snr, list(sides), tilt, random))
                ):  # fmt: skip
                    path = (out / kind / "audio" / f"{key}.flac").absolute()
                    path.parent.mkdir(parents=True, exist_ok=True)
                    soundfile.write(path, audio, RATE)
                    ids[kind].append({**row, "key": key, "path": str(path)})
        for kind, entries in ids.items():
            write_data_dir(out / kind / name, sorted(entries, key=lambda entry: entry["key"]), name != "train")


def write_data_dir(folder: Path, entries: list[dict[str, str]], with_trials: bool) -> None:
    """A Kaldi data directory with matched trials."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, column in (("wav.scp", "path"), ("utt2spk", "speaker")):
        (folder / name).write_text("".join(f"{entry['key']} {entry[column]}\n" for entry in entries))
    if with_trials:
        lines = []
        for a, b in combinations(entries, 2):
            same = a["speaker"] == b["speaker"]
            if same or (a["gender"] == b["gender"] and abs(int(a["age"]) - int(b["age"])) <= MOST_YEARS):
                lines.append(f"{a['key']} {b['key']} {'target' if same else 'nontarget'}\n")
        (folder / "trials").write_text("".join(lines))


def conditions(samples: np.ndarray, random: np.random.Generator) -> Iterator[tuple[str, np.ndarray, int]]:
    """Name, samples and the frame at which the recording begins."""
    sides = list(random.uniform(1, 3, 2))
    tilt = random.uniform(-6, 0)
    yield "zeros around it", degrade(samples, np.inf, sides, 0, random), round(sides[0] * RATE / SHIFT)
    for snr in (30, 15, 10, 5, 0):
        yield f"noise, {snr} dB", degrade(samples, snr, sides, tilt, random), round(sides[0] * RATE / SHIFT)
    rumble = degrade(samples, 5, sides, -9, random)
    yield "rumble (-9 dB an octave), 5 dB", rumble, round(sides[0] * RATE / SHIFT)


def frames(speech: Path) -> None:
    """Prints what both VADs do with frames of which it is known what they are."""
    random = np.random.default_rng(2)
    conf = ROOT / "conf" / "features"
    extract = FeatureExtractor(config.load(FeatureConfig, conf / "mfcc.yaml"))
    energy, hmm = load_vad(conf / "vad.yaml"), load_vad(conf / "vad_hmm.yaml")
    rows = [row for row in read_lists(speech) if row["half"] == "report"]
    random.shuffle(rows)
    shares: dict[str, list[np.ndarray]] = {}
    for row in rows[:FRAME_UTTERANCES]:
        samples = read(speech, row)[: 15 * RATE]
        level = extract(samples.astype(np.float32))[:, 0]
        for name, degraded, first in conditions(samples, random):
            features = extract(degraded.astype(np.float32))
            speaks, silent = np.zeros((2, len(features)), bool)
            speaks[first : first + len(level)] = (level > np.percentile(level, 95) - NEAR_PEAK)[: len(features) - first]
            silent[: first - FAR_FRAMES] = silent[first + len(level) + FAR_FRAMES :] = True
            found = (energy_vad(features, energy), hmm_vad([features], hmm, "viterbi")[0])
            shares.setdefault(name, []).append(
                100 * np.array([(1 - voiced[speaks].mean(), voiced[silent].mean()) for voiced in found])
            )
    print(f"{FRAME_UTTERANCES} utterances; percent of frames, mean over utterances\n")
    print("| condition | speech missed, energy | hmm | silence called speech, energy | hmm |")
    print("|---|---:|---:|---:|---:|")
    for name, values in shares.items():
        (missed, called), (hmm_missed, hmm_called) = np.mean(values, axis=0)
        print(f"| {name} | {missed:.1f} | {hmm_missed:.1f} | {called:.1f} | {hmm_called:.1f} |")


def scores_of(experiment: Path, options: EvaluationConfig, scoring: str, level: str) -> dict[str, tuple[str, Path]]:
    """Seed to level (of the teacher: the best on dev if ``level`` is empty) and its scores of eval."""
    chosen: dict[str, tuple[float, str, Path]] = {}
    for record in json.loads((experiment / "results" / "results.json").read_text()):
        if record["role"] == "teacher" and (record["set"], record["scoring"]) == (options.dev_set, scoring):
            model, own = record["system"].split("/")
            entry = (record["eer_percent"], own, experiment / model / "scores" / own / f"eval.{scoring}.txt")
            if level in ("", own):
                chosen[str(record["seed"])] = min(chosen.get(str(record["seed"]), entry), entry)
    return {seed: (own, path) for seed, (_, own, path) in sorted(chosen.items())}


def evaluate(path: Path, options: EvaluationConfig) -> tuple[float, np.ndarray]:
    """EER of a score file, and of each draw of its speakers."""
    rows = [line.split() for line in path.read_text().splitlines()]
    keys = sorted({key for row in rows for key in row[:2]})
    place = {key: number for number, key in enumerate(keys)}
    speakers = [key.split("-")[0] for key in keys]
    model, test = (np.array([place[row[side]] for row in rows]) for side in (0, 1))
    target = np.array([speakers[a] == speakers[b] for a, b in zip(model, test, strict=True)])
    scores = np.array([float(row[2]) for row in rows])
    bootstrap = SpeakerBootstrap(
        speakers, speakers, model, test, target, options.bootstrap_draws, options.bootstrap_seed
    )  # fmt: skip
    return eer(scores[target], scores[~target])[0], bootstrap.eer(scores)


def compare(one: Path, other: Path) -> None:
    """Prints the EER of two experiments with the same trials, seed by seed, and their ratio."""
    options = config.load(EvaluationConfig, ROOT / "conf" / "evaluation.yaml")
    for level in ("", "segment6"):
        rates, draws = [], []
        for experiment in (one, other):
            scores = scores_of(experiment, options, options.primary_scoring, level)
            found = [evaluate(path, options) for _, path in scores.values()]
            rates.append(np.array([rate for rate, _ in found]))
            draws.append(np.stack([drawn for _, drawn in found]))
            levels = [own for own, _ in scores.values()]
            each = ", ".join(f"{100 * rate:.2f} {own}" for rate, own in zip(rates[-1], levels, strict=True))
            print(f"{experiment.name}, {level or 'best level on dev'}: EER {100 * rates[-1].mean():.2f} % ({each})")
        ratio = Comparison.of(rates[1], draws[1], rates[0], draws[0], options.confidence, options.bootstrap_seed)
        low, high = ratio.interval
        print(f"    {other.name} / {one.name}: {ratio.ratio:.2f} [{low:.2f}, {high:.2f}]")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("prepare", "frames", "compare"))
    parser.add_argument("paths", nargs="+", type=Path)
    args = parser.parse_args()
    {"prepare": prepare, "frames": frames, "compare": compare}[args.what](*args.paths)


if __name__ == "__main__":
    main()
