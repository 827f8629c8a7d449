"""Stand-ins of VoxCeleb's size for benchmarks/scale.py: tables, archives, embeddings and trials, without its speech."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from xvkd.features.extraction import FeatureConfig, FeatureExtractor
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.objects import binary_object

# VoxCeleb 2 (dev) and VoxCeleb 1 (dev) together, with its copies in Kaldi's protocol, and the list VoxCeleb1-H.
UTTERANCES, SPEAKERS, COPIES, TRIALS = 1_300_000, 7_300, 1_000_000, 580_000
TEST_UTTERANCES, TEST_SPEAKERS = 138_000, 1_190
SECONDS = 7.8  # mean duration of an utterance
RATE, FRAMES_A_SECOND = 16_000, 100
# Different utterances: every name of a stand-in is that of one of them.
RECORDINGS = 200
VECTORS, VECTORS_A_SPEAKER = 12_000, 12


def names(utterances: int, speakers: int, first: int = 10_000) -> tuple[list[str], list[str]]:
    """Utterance ids as VoxCeleb's, ``id10000-a1B2c3D4e5F-00001``, sorted, and the speaker of each."""
    rng = np.random.default_rng(first)
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"))
    per_session = 7
    found, of = [], []
    for number in range(speakers):
        speaker = f"id{first + number:06d}"
        count = utterances * (number + 1) // speakers - utterances * number // speakers
        sessions = ["".join(row) for row in letters[rng.integers(len(letters), size=(-(-count // per_session), 11))]]
        found += sorted(
            f"{speaker}-{sessions[place // per_session]}-{place % per_session:05d}" for place in range(count)
        )
        of += [speaker] * count
    return found, of


def write_lines(path: Path, lines: Iterator[str]) -> None:
    """Writes a text file, under its name when whole."""
    with atomic_write(path) as file:
        file.writelines(lines)


def write_tables(folder: Path, utterances: list[str], speakers: list[str]) -> None:
    """utt2spk and spk2gender."""
    write_lines(folder / "utt2spk", (f"{u} {s}\n" for u, s in zip(utterances, speakers, strict=True)))
    write_lines(folder / "spk2gender", (f"{s} {'mf'[n % 2]}\n" for n, s in enumerate(sorted(set(speakers)))))


class Recordings:
    """Recordings of noise whose loudness changes, a few seconds each, and their features and VAD as Kaldi keeps them.

    Args:
        folder: gets them.
        features: how features are computed.
    """

    def __init__(self, folder: Path, features: FeatureConfig) -> None:
        rng, extractor = np.random.default_rng(0), FeatureExtractor(features)
        folder.mkdir(parents=True, exist_ok=True)
        self.paths: list[Path] = []
        self.matrices: list[bytes] = []
        self.plain: list[bytes] = []
        self.marks: list[bytes] = []
        self.frames: list[int] = []
        for number in range(RECORDINGS):
            seconds = float(np.clip(rng.lognormal(np.log(SECONDS) - 0.1, 0.45), 4, 60))
            samples = rng.standard_normal(int(seconds * RATE)) * 300
            samples *= np.repeat(rng.uniform(0.1, 6, len(samples) // 4000 + 1), 4000)[: len(samples)]
            path = folder / f"{number:04d}.wav"
            soundfile.write(path, samples.astype(np.int16), RATE)
            matrix = extractor(samples.astype(np.float32))
            voiced = (rng.random(len(matrix)) < 0.8).astype(np.float32)
            self.paths.append(path)
            self.matrices.append(b"\0B" + binary_object(matrix, compress=True))
            self.plain.append(b"\0B" + binary_object(matrix))
            self.marks.append(b"\0B" + binary_object(voiced))
            self.frames.append(len(matrix))

    def place(self, utterance: int) -> int:
        """The recording that stands for an utterance, by number."""
        return utterance * 7919 % RECORDINGS


def write_archives(
    folder: Path, name: str, utterances: list[str], items: list[bytes], place: Callable[[int], int], archives: int
) -> None:
    """``<name>.JOB.ark`` and ``<name>.scp``, an object for each utterance, as an array of jobs writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for job in range(archives):
        path = folder / f"{name}.{job + 1}.ark"
        first, end = (len(utterances) * (job + more) // archives for more in (0, 1))
        offset = 0
        with open(path, "wb") as file:
            for row in range(first, end):
                key = utterances[row].encode() + b" "
                offset += file.write(key)
                lines.append(f"{utterances[row]} {path}:{offset}\n")
                offset += file.write(items[place(row)])
            file.flush()
            os.fsync(file.fileno())  # what is not on disk cannot be dropped from memory
    write_lines(folder / f"{name}.scp", iter(lines))


def write_embeddings(folder: Path, level: str, utterances: list[str], speakers: list[str], dim: int) -> None:
    """``<level>.ark`` and ``<level>.scp``: float32 vectors around a mean of each speaker.

    The archive has a few vectors of each of a thousand speakers, so that it fits any disk; the script names one of them
    for each utterance, so that what reads it has as many rows as there are utterances.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng, head = np.random.default_rng(dim), b"\0BFV \4" + np.int32(dim).tobytes()
    path = folder / f"{level}.ark"
    means = rng.standard_normal((VECTORS // VECTORS_A_SPEAKER, dim), dtype=np.float32)
    with open(path, "wb") as file:
        for row in range(VECTORS):
            vector = means[row // VECTORS_A_SPEAKER] + rng.standard_normal(dim, dtype=np.float32)
            file.write(b"x " + head + vector.tobytes())
    length = 2 + len(head) + 4 * dim
    number, place, current = -1, 0, ""
    with atomic_write(folder / f"{level}.scp") as script:
        for utterance, speaker in zip(utterances, speakers, strict=True):
            if speaker != current:
                number, place, current = number + 1, 0, speaker
            row = number * VECTORS_A_SPEAKER % VECTORS + place % VECTORS_A_SPEAKER
            script.write(f"{utterance} {path}:{row * length + 2}\n")
            place += 1


def write_trials(path: Path, utterances: list[str], speakers: list[str], count: int) -> None:
    """Trials, half of them targets, as Kaldi has them."""
    rng = np.random.default_rng(1)
    numbers = np.unique(speakers, return_inverse=True)[1]
    first = rng.integers(len(utterances), size=count)
    begins = np.searchsorted(numbers, np.arange(numbers[-1] + 2))
    own = rng.integers(begins[numbers[first]], begins[numbers[first] + 1])
    other = rng.integers(len(utterances), size=count)
    second = np.where(rng.random(count) < 0.5, own, other)
    word = np.where(numbers[first] == numbers[second], "target", "nontarget")
    write_lines(path, (f"{utterances[a]} {utterances[b]} {label}\n"
                       for a, b, label in zip(first, second, word, strict=True)))
