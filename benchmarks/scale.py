#!/usr/bin/env python3
"""What an experiment of VoxCeleb's size costs, stage by stage; see benchmarks/scale.sh.

Method: stand-ins of S/4, S/2 and S of VoxCeleb's size (scale_data.py: ids of its form, 178 utterances a speaker of 7.8
s on average, of 200 different recordings of noise; compressed features and VAD; trials of VoxCeleb1-H). Every stage's
own command, in a process with one thread, processes that it starts counted in: seconds of a processor (user and
system; they depend less than those on the clock on what else a machine does), peak memory of the largest process,
bytes of what it writes. Steps that compute on frames run with stand-ins smaller by F, and those marked "of 1/K" on a
part of them. Through the three figures goes the line of least squares a + b N, of which the table has the value at the
full size; "exponent" is the log of the ratio of the largest and the smallest stand-in's times by that of their sizes:
1 is linear, 2 quadratic; what does not grow lowers it. Back ends and scores, which read from disk what is more than a
gibibyte, run with the sizes of VECTORS, whatever S; their rows share vectors. Networks are tiny: the table has the
stages' own work, docs/scale.md what networks take. Chunks are read after the archives have been dropped from the
system's cache.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import scale_data
from machine import ROOT, machine
from scale_table import Figure, report

from xvkd import config
from xvkd.features.extraction import FeatureConfig

GIB = 2**30
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "pyscripts")}
CHUNK_FRAMES, BATCH, BATCHES = 200, 64, 40
# Runs a command and tells its status, processor seconds and peak memory in KiB. A process of its own, and a small one:
# what is started from a process has, to begin with, that one's peak.
WATCH = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=sys.stderr)
_, status, usage = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""
# Dimensions of a level, the largest share of VoxCeleb's size, and the ratio of one size to the next.
VECTORS = ((512, 1.0, 0.65), (3000, 0.16, 0.75))
GROUPS = ("frames", "tables", "vectors")


@dataclass
class Step:
    """A step of a stage.

    Attributes:
        stage, name: for the table; without a name, it is not in it.
        command: with what it is run.
        writes: files and folders that it makes.
        parts: it is run on one of so many parts.
        frames: it computes on frames.
    """

    stage: str
    name: str
    command: list[str | Path]
    writes: list[Path]
    parts: int = 1
    frames: bool = False


class StandIn:
    """The stand-in of one size.

    Args:
        folder: of all files.
        share: of VoxCeleb's size.
    """

    def __init__(self, folder: Path, share: float) -> None:
        self.folder, self.share = folder, share
        self.utterances, self.speakers = scale_data.names(
            round(scale_data.UTTERANCES * share), max(round(scale_data.SPEAKERS * share), 4)
        )
        self.tests, self.testers = scale_data.names(
            round(scale_data.TEST_UTTERANCES * share), max(round(scale_data.TEST_SPEAKERS * share), 4), 500_000
        )
        self.trials = round(scale_data.TRIALS * share)

    def sets(self) -> Iterator[tuple[str, list[str], list[str]]]:
        yield "train", self.utterances, self.speakers
        yield "eval", self.tests, self.testers

    def write_audio(self, recordings: scale_data.Recordings) -> None:
        """Kaldi data directories with wav.scp."""
        for name, utterances, speakers in self.sets():
            folder = self.folder / "audio" / name
            scale_data.write_tables(folder, utterances, speakers)
            scale_data.write_lines(
                folder / "wav.scp", (f"{u} {recordings.paths[recordings.place(n)]}\n" for n, u in enumerate(utterances))
            )
        scale_data.write_trials(self.folder / "audio/eval/trials", self.tests, self.testers, self.trials)

    def write_features(self, recordings: scale_data.Recordings, archives: bool) -> None:
        """Kaldi data directories with features and VAD; without ``archives``, rows share one of few utterances."""
        for name, utterances, speakers in self.sets():
            folder = self.folder / "features" / name
            scale_data.write_tables(folder, utterances, speakers)
            for kind, items in (("feats", recordings.matrices), ("vad", recordings.marks)):
                if archives:
                    scale_data.write_archives(folder / "archives", kind, utterances, items, recordings.place, 4)
                    os.replace(folder / "archives" / f"{kind}.scp", folder / f"{kind}.scp")
                    continue
                few = [f"u{row:04d}" for row in range(scale_data.RECORDINGS)]
                scale_data.write_archives(folder / "archives", kind, few, items, lambda row: row, 1)
                script = folder / "archives" / f"{kind}.scp"
                places = [line.split(" ", 1)[1] for line in script.read_text().splitlines(True)]
                scale_data.write_lines(
                    folder / f"{kind}.scp",
                    (f"{u} {places[recordings.place(n)]}" for n, u in enumerate(utterances)),
                )
        scale_data.write_trials(self.folder / "features/eval/trials", self.tests, self.testers, self.trials)


def table_steps(stand_in: StandIn) -> Iterator[Step]:
    """The steps whose work is with tables and vectors."""
    folder, work = stand_in.folder, stand_in.folder / "work"
    def of(kind: str) -> list[str]:
        return [word for name in ("train", "eval") for word in ("--set", f"options.{name}_dir={folder}/{kind}/{name}")]

    prepare = ["prepare_corpus.py", "--config", "conf/corpora/kaldi.yaml"]
    yield Step("1", "data directories with features", [*prepare, *of("features"), work / "given"], [work / "given"])
    yield Step("1", "data directories with audio", [*prepare, *of("audio"), work / "audio"], [work / "audio"])
    manifests = f"options.train_dir={work}/audio/train/manifests"
    yield Step("1", "Lhotse manifests", [*prepare, "--set", manifests, work / "cuts"], [work / "cuts"])
    noise = ["prepare_noise.py", "--config", "conf/noise.yaml", "--speech", work / "audio/train", work / "noise"]
    yield Step("2", "noise corpus", noise, [work / "noise"])
    copies = ["augment_data.py", "--config", "conf/augmentation/copies.yaml", "--set", "copies=1", "--set",
              f"subset={round(scale_data.COPIES * stand_in.share)}", "--noise", work / "noise", work / "audio/train"]
    yield Step("2", "a million copies", [*copies, work / "audio/train_copies"], [work / "audio/train_copies"])


def vector_steps(dim: int) -> Callable[[StandIn], Iterator[Step]]:
    """Back ends and scores of levels of some dimensions."""

    def steps(stand_in: StandIn) -> Iterator[Step]:
        work, vectors = stand_in.folder / "work", stand_in.folder / "vectors"
        train, test = stand_in.folder / "train", stand_in.folder / "eval"
        back_end = ["train_backend.py", "--config", "conf/backend.yaml", f"scp:{vectors}/train/level.scp",
                    train / "utt2spk", work]
        yield Step("8", f"back end, {dim} dimensions", back_end, [work])
        scores = ["score_sets.py", "--config", "conf/backend.yaml", "--evaluation", "conf/evaluation.yaml", "--backend",
                  work, "--embeddings", vectors, "--level", "level", "--cohort", train, stand_in.folder / "scores",
                  test]
        yield Step("9", f"scores of 580,000 trials, {dim} dimensions", scores, [stand_in.folder / "scores"])

    return steps


def write_vectors(stand_in: StandIn, dim: int) -> None:
    """Embeddings, and of data directories what back ends and scores read."""
    for name, utterances, speakers in stand_in.sets():
        scale_data.write_tables(stand_in.folder / name, utterances, speakers)
        scale_data.write_embeddings(stand_in.folder / "vectors" / name, "level", utterances, speakers, dim)
    scale_data.write_trials(stand_in.folder / "eval/trials", stand_in.tests, stand_in.testers, stand_in.trials)


def frame_steps(stand_in: StandIn) -> Iterator[Step]:
    """The steps whose work is with frames."""
    folder, work = stand_in.folder, stand_in.folder / "work"
    wavs, train, model = folder / "audio/train/wav.scp", work / "data/scale/train", work / "random"
    feats = ["compute_feats.py", "--config", "conf/features/mfcc.yaml", "--part", "1/4"]
    yield Step("3", "MFCC", [*feats, f"scp:{wavs}", f"ark,scp:{work}/f.ark,{work}/f.scp"], [work / "f.ark"], 4, True)
    vad = ["compute_vad.py", "--config", "conf/features/vad.yaml", f"scp:{work}/f.scp",
           f"ark,scp:{work}/v.ark,{work}/v.scp"]
    yield Step("3", "VAD", vad, [work / "v.ark"], 4, True)
    recipe = ["./run.sh", "--preset", "tiny", "--corpus", "scale", "--train-dir", folder / "features/train",
              "--nj", "2", "--eval-dir", folder / "features/eval", "--data-root", work / "data", "--exp-root",
              work / "exp", "--noisy-sets", "", "--durations", ""]
    yield Step("1", "", [*recipe, "--stage", "1", "--stop-stage", "1"], [], 1, True)
    three = ["--stage", "3", "--stop-stage", "3"]
    yield Step("3", "features as given: scripts, checks", [*recipe, *three], [], 1, True)
    yield Step("3", "shards", [*recipe, *three, "--reading", "shards"], [train / "shards"], 1, True)
    for reading in ("random", "shards"):
        command = ["train_teacher.py", "--config", "conf/teachers/tdnn_tiny.yaml", "--seed", "0", "--data-dir", train]
        for change in (f"reading={reading}", "epochs=1", "cache_gib=0"):
            command += ["--set", f"training.{change}"]
        yield Step("4", f"start and an epoch, {reading}", [*command, work / reading], [], 1, True)
    yield Step("5", "levels of a tiny network", ["extract_embeddings.py", "--config", "conf/extraction.yaml", "--model",
                                                 model, train, work / "levels"], [work / "levels"], 1, True)
    scale_data.write_embeddings(work / "targets", "segment6", stand_in.utterances, stand_in.speakers, 512)
    student = ["train_student.py", "--config", "conf/students/tdnn16.yaml", "--set", "training.epochs=1", "--set",
               "training.reading=shards", "--seed", "0", "--teacher", model, "--levels", "segment6", "--loss",
               "conf/losses/mse.yaml", "--embeddings", work / "targets", "--data-dir", train, work / "student"]
    yield Step("6", "start and an epoch, targets of 512 dimensions", student, [], 1, True)


def measure(step: Step, utterances: int, log: Path) -> Figure:
    """Runs a step."""
    words = [str(word) for word in step.command]
    if words[0].endswith(".py"):
        words = [sys.executable, str(ROOT / "pyscripts" / words[0]), *words[1:]]
    start = time.monotonic()
    with open(log, "ab") as file:
        said = subprocess.run(
            [sys.executable, "-I", "-c", WATCH, *words], cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=file,
            check=False,
        )  # fmt: skip
    status, seconds, kib = said.stdout.split()[-3:]
    if int(status):
        sys.exit(f"scale.py: error: {' '.join(words)} failed: see {log}")
    return Figure(
        step.stage, step.name, utterances, float(seconds), time.monotonic() - start, int(kib) / 2**20,
        sum(size_of(path) for path in step.writes), step.parts,
    )  # fmt: skip


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def read_chunks(train: Path, reading: str, workers: int) -> dict[str, float]:
    """Chunks per second from disk, and seconds to the first batch."""
    import torch

    from xvkd.kaldi.datadir import DataDir
    from xvkd.training.config import load_input_config
    from xvkd.training.data import ChunkDataset, UtteranceReader, chunk_loader
    from xvkd.training.sampling import ChunkSampler, Pool
    from xvkd.training.shards import ShardReader, shard_settings

    torch.set_num_threads(1)
    scripts = [train / "feats.scp", train / "vad.scp"]
    given = {line.split()[1].rpartition(":")[0] for script in scripts for line in script.read_text().splitlines()}
    for path in [*map(Path, given), *train.rglob("*.ark")]:
        drop(path)
    inputs = load_input_config(ROOT / "conf/inputs/mfcc_cmn_voiced.yaml")
    start = time.monotonic()
    if reading == "shards":
        reader = ShardReader([DataDir(train)], shard_settings(*inputs))
        rows: list | np.ndarray = np.arange(len(reader.names))
        pool = Pool(reader.names, np.zeros(len(rows), int), {}, reader.shards)
    else:
        reader = UtteranceReader([DataDir(train)], inputs[0])
        rows = list(DataDir(train).speakers())
        pool = Pool(rows, np.zeros(len(rows), int), {})
    sampler = ChunkSampler(pool, 1, BATCH, "utterances", 0, GIB)
    loader = chunk_loader(ChunkDataset(reader, rows, CHUNK_FRAMES), sampler, workers)
    batches, first = 0, 0.0
    for _ in loader:
        batches += 1
        first = first or time.monotonic()
        if batches == BATCHES:
            break
    return {"first": first - start, "chunks_a_second": BATCH * (batches - 1) / (time.monotonic() - first)}


def drop(path: Path) -> None:
    """Takes a file out of the system's cache."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def chunk_steps(stand_in: StandIn, recordings: scale_data.Recordings) -> Iterator[tuple[str, Path, str, int]]:
    """Where chunks are read from: what it is, the data directory, how it is read, and by how many processes."""
    work = stand_in.folder / "work"
    train, plain = work / "data/scale/train", work / "plain"
    for kind, items in (("feats", recordings.plain), ("vad", recordings.marks)):
        scale_data.write_archives(plain, kind, stand_in.utterances, items, recordings.place, 4)
    shutil.copy(train / "utt2spk", plain)
    (work / "plain.yaml").write_text("size_mib: 200\ncompress: false\nseed: 0\n")
    subprocess.run(
        [sys.executable, ROOT / "pyscripts/make_shards.py", "--config", work / "plain.yaml", "--input",
         ROOT / "conf/inputs/mfcc_cmn_voiced.yaml", plain, plain / "shards/x"], check=True, env=ENVIRONMENT,
    )  # fmt: skip
    for whole, part in (("inputs.scp", "inputs.1.scp"), ("index", "index.1")):
        os.replace(plain / "shards/x" / part, plain / "shards/x" / whole)
    for what, data in (("compressed", train), ("not compressed", plain)):
        for reading in ("random", "shards"):
            for workers in (0, 1, 2):
                yield f"{reading}, {what}", data, reading, workers


def run(
    folder: Path, shares: list[float], steps: Callable[[StandIn], Iterator[Step]],
    write: Callable[[StandIn], None], note: Callable[[dict], None],
) -> StandIn:  # fmt: skip
    """Measures steps with stand-ins of several sizes; the last one is left."""
    for share in shares:
        stand_in = StandIn(folder / f"{share:g}", share)
        stand_in.folder.mkdir(parents=True, exist_ok=True)
        write(stand_in)
        for step in steps(stand_in):
            figure = measure(step, len(stand_in.utterances), folder / "log")
            if step.name:
                note({"figure": asdict(figure)})
        if share != shares[-1]:
            shutil.rmtree(stand_in.folder)
    return stand_in


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.1, metavar="S", help="of VoxCeleb's size")
    parser.add_argument("--frames", type=float, default=0.1, metavar="F", help="of that, for steps on frames")
    parser.add_argument("--table", action="store_true", help="only print the table of FOLDER/figures.jsonl")
    parser.add_argument("--groups", default=" ".join(GROUPS), help=argparse.SUPPRESS)
    parser.add_argument("--chunks", nargs=2, metavar=("random|shards", "WORKERS"), help=argparse.SUPPRESS)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    if args.chunks:
        print(json.dumps(read_chunks(args.folder, args.chunks[0], int(args.chunks[1]))))
        return
    if not 0 < args.scale <= 1 or not 0 < args.frames <= 1:
        sys.exit("scale.py: error: --scale and --frames: expected shares above 0, at most 1")
    path = args.folder / "figures.jsonl"

    def note(record: dict) -> None:
        print(json.dumps(record), file=sys.stderr, flush=True)
        with path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    if not args.table:
        args.folder.mkdir(parents=True, exist_ok=True)
        groups = args.groups.split()
        if len(groups) == len(GROUPS):
            path.unlink(missing_ok=True)
        note({"machine": machine(), "scale": args.scale, "frames": args.frames})
        recordings = scale_data.Recordings(
            args.folder / "wav", config.load(FeatureConfig, ROOT / "conf/features/mfcc.yaml")
        )
        fractions = [args.scale / 4, args.scale / 2, args.scale]

        def few(stand_in: StandIn) -> None:
            stand_in.write_audio(recordings)
            stand_in.write_features(recordings, archives=True)

        def many(stand_in: StandIn) -> None:
            stand_in.write_audio(recordings)
            stand_in.write_features(recordings, archives=False)

        if "frames" in groups:
            last = run(args.folder, [share * args.frames for share in fractions], frame_steps, few, note)
            for what, data, reading, workers in chunk_steps(last, recordings):
                words = [sys.executable, __file__, "--chunks", reading, str(workers), data]
                read = json.loads(subprocess.check_output(words, env=ENVIRONMENT))
                note({"chunks": what, "workers": workers, **read})
            shutil.rmtree(last.folder)
        if "tables" in groups:
            shutil.rmtree(run(args.folder, fractions, table_steps, many, note).folder)
        for dim, share, ratio in VECTORS if "vectors" in groups else ():
            shares = [share * ratio**2, share * ratio, share]
            shutil.rmtree(run(args.folder, shares, vector_steps(dim), partial(write_vectors, dim=dim), note).folder)
        shutil.rmtree(args.folder / "wav")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for line in report(records):
        print(line)


if __name__ == "__main__":
    main()
