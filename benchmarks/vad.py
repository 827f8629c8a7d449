#!/usr/bin/env python3
"""What the HMM VAD changes against the energy VAD: in frames, where the truth is known, and in EER.

usage: benchmarks/vad.py prepare SPEECH OUT        audio, Kaldi data directories and trials for run.sh
       benchmarks/vad.py frames SPEECH             the table of frames
       benchmarks/vad.py compare EXP_A EXP_B       EER (PLDA) of the teachers of two experiments, and their ratio

SPEECH, the two halves of its speakers, the sets and the trials are those of benchmarks/real_speech.py.

Method. The HMM's constants were tuned on frames of the speakers of one half; frames and EER are reported on the other.
"clean" are the recordings as they are. "noisy" has 1 to 3 s of no speech on each side, and over all of it steady noise,
white to -6 dB an octave, 5 to 10 dB below the recording.

Frames: speech is what lies within 20 dB of the recording's 95th percentile before anything was added; silence is the
padding, 10 frames or more from the recording.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from machine import ROOT
from real_speech import Row, matched_trials, pieces, read_lists, split

from xvkd import config
from xvkd.evaluation.bootstrap import SpeakerBootstrap
from xvkd.evaluation.metrics import eer
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.strata import Comparison
from xvkd.features.extraction import FeatureConfig, FeatureExtractor
from xvkd.features.vad import energy_vad
from xvkd.features.vad_hmm import hmm_vad
from xvkd.features.vads import load_vad

RATE, SHIFT = 16000, 160
NEAR_PEAK = 20 / 4.343  # 20 dB in natural logarithms
FAR_FRAMES = 10
FRAME_UTTERANCES = 150


def read(speech: Path, row: Row) -> np.ndarray:
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
    random = np.random.default_rng(1)
    for name, chosen in split(read_lists(speech), 0).items():
        ids: dict[str, list[Row]] = {"clean": [], "noisy": []}
        for row in chosen:
            samples = read(speech, row)
            for number, piece in enumerate(np.array_split(samples, pieces(row, name == "train"))):
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


def write_data_dir(folder: Path, entries: list[Row], with_trials: bool) -> None:
    """A Kaldi data directory with matched trials."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, column in (("wav.scp", "path"), ("utt2spk", "speaker")):
        (folder / name).write_text("".join(f"{entry['key']} {entry[column]}\n" for entry in entries))
    if with_trials:
        trials = matched_trials({entry["key"]: entry for entry in entries})
        (folder / "trials").write_text("".join(trials))


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
    rows = [row for row in read_lists(speech) if row["fold"] == "0"]
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
