#!/usr/bin/env python3
"""How far what our commands give lies from what Kaldi's binaries gave.

usage: benchmarks/kaldi_distances.py ORACLE     the folder with Kaldi's outputs

Method: each command runs as Kaldi's program would, on the same input (Kaldi's own files, up to and including the step
before), and its output is held against Kaldi's. The rows of LDA and PLDA are compared up to sign, in which they are
free. Prints a table: the greatest and the median difference, or what else tells them apart.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from machine import ROOT

from xvkd.kaldi.archives import open_writer, read_items, read_matrix
from xvkd.kaldi.plda_format import read_plda
from xvkd.kaldi.specifiers import rspecifier, wspecifier

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "pyscripts")}
CMN = "--norm-vars={} --center={} --cmn-window=300"
SCORES = {
    "scores_numutts": "--num-utts=ark:{}/enroll_num_utts.txt",
    "scores_nonumutts": "",
    "scores_numutts_noln": "--num-utts=ark:{}/enroll_num_utts.txt --normalize-length=false",
    "scores_numutts_adapt_default": "--num-utts=ark:{}/enroll_num_utts.txt",
    "scores_utt": "",
}


def run(command: str, *arguments: str | Path) -> str:
    """Runs one of our commands; returns what it printed."""
    words = [sys.executable, str(ROOT / "pyscripts" / f"{command}.py"), *map(str, arguments)]
    done = subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def arrays(path: Path) -> dict[str, np.ndarray]:
    return dict(read_items(rspecifier(f"ark:{path}")))


def apart(ours: dict[str, np.ndarray], kaldis: dict[str, np.ndarray]) -> str:
    """The greatest and the median difference of two tables; Kaldi's may have fewer entries."""
    differences = np.concatenate([np.abs(ours[key] - kaldis[key]).ravel() for key in kaldis if kaldis[key].size])
    return f"{differences.max():.2g}, median {np.median(differences):.2g}"


def features(feats: Path, work: Path) -> Iterator[tuple[str, str, str]]:
    """Program, file and distance of the front end."""
    wavs = sorted((feats.parent / "wav").glob("*.wav"))
    (work / "wav.scp").write_text("".join(f"{wav.stem} {wav}\n" for wav in wavs))
    out = work / "x.ark"

    def result(name: str, command: str, *arguments: str | Path) -> str:
        run(command, *arguments, f"ark:{out}")
        return apart(arrays(out), arrays(feats / name))

    for name, config, *others in (
        ("mfcc", "mfcc"), ("fbank80", "fbank80"),
        ("fbank80_default", "fbank80", "--high-freq=0", "--snip-edges=true", "--allow-empty=true"),
    ):  # fmt: skip
        options = (f"--config=conf/features/{config}.yaml", "--compress=false", *others, f"scp:{work}/wav.scp")
        program = f"compute-{config.removesuffix('80')}-feats"
        yield program, name, result(f"{name}.ark", "compute_feats", *options)
    run("compute_vad", "--config=conf/features/vad.yaml", f"ark:{feats}/mfcc.ark", f"ark:{out}")
    ours, kaldis = arrays(out), arrays(feats / "vad.ark")
    wrong = sum(int((ours[key] != kaldis[key]).sum()) for key in kaldis)
    yield "compute-vad", "vad", f"{wrong} of {sum(map(len, kaldis.values()))} frames"
    for name, norm_vars, center in (
        ("mfcc_cmn", "false", "true"), ("mfcc_cmvn_var", "true", "true"), ("mfcc_cmn_causal", "false", "false"),
    ):  # fmt: skip
        options = CMN.format(norm_vars, center).split()
        yield "apply-cmvn-sliding", name, result(f"{name}.ark", "apply_cmvn_sliding", *options, f"ark:{feats}/mfcc.ark")
    run("select_voiced_frames", f"ark:{feats}/mfcc_cmn.ark", f"ark:{feats}/vad.ark", f"ark:{out}")
    same = out.read_bytes() == (feats / "mfcc_cmn_voiced.ark").read_bytes()
    yield "select-voiced-frames", "mfcc_cmn_voiced", "byte for byte" if same else "different bytes"
    compressed = (feats / "mfcc_compressed.ark").read_bytes()
    different = 0
    for key, matrix in arrays(feats / "mfcc.ark").items():
        with open_writer(wspecifier(f"ark:{out}"), compress=True) as writer:
            writer.write(key, matrix)
        different += out.read_bytes() not in compressed
    yield "copy-feats --compress=true", "mfcc_compressed", f"{different} of {len(wavs)} recordings in any byte"


def signs(ours: np.ndarray, kaldis: np.ndarray) -> np.ndarray:
    """The sign of each row of ours against Kaldi's: (rows,)."""
    return np.sign(np.sum(ours * kaldis, axis=1))


def plda_apart(ours: Path, kaldis: Path, axes: np.ndarray | float = 1.0) -> str:
    """The distance of two PLDA models; ``axes`` are the signs of what our LDA gave the vectors."""
    (mean, transform, psi), (mean_k, transform_k, psi_k) = read_plda(ours), read_plda(kaldis)
    transform = transform * axes
    rows = np.abs(transform * signs(transform, transform_k)[:, None] - transform_k).max()
    relative, shift = np.abs(psi / psi_k - 1).max(), np.abs(mean * axes - mean_k).max()
    return f"transform {rows:.2g}, psi {relative:.2g} relative, mean {shift:.2g}"


def backend(plda: Path, work: Path) -> Iterator[tuple[str, str, str]]:
    """Program, file and distance of the back end."""
    for name, iterations in (("plda.txt", 10), ("plda_em1.txt", 1)):
        flags = f"--lda-dim=32 --total-covariance-factor=0.0 --pca-dim=64 --num-em-iters={iterations}".split()
        run("train_backend", *flags, f"ark:{plda}/train.txt", plda / "train_utt2spk", work / "backend")
        ours, kaldis = read_matrix(work / "backend" / "transform.mat"), read_matrix(plda / "transform.txt")
        axes = signs(ours, kaldis)
        if iterations == 10:
            yield "ivector-compute-lda", "transform.txt", f"{np.abs(ours * axes[:, None] - kaldis).max():.2g}"
        yield "ivector-compute-plda", name, plda_apart(work / "backend" / "plda", plda / name, axes)
    (work / "kaldis").mkdir()
    for ours, name in (("mean.vec", "mean.vec"), ("transform.mat", "transform.txt"), ("plda", "plda")):
        (work / "kaldis" / ours).write_bytes((plda / name).read_bytes())
    raw = ("--config=conf/adaptation.yaml", f"--backend={work}/kaldis", plda / "plda", f"ark:{plda}/adapt.txt")
    run("adapt_plda", *raw, work / "adapted")
    yield "ivector-adapt-plda", "plda_adapt_default.txt", plda_apart(work / "adapted", plda / "plda_adapt_default.txt")
    for name, options in SCORES.items():
        pairs = name.startswith("scores_utt")
        model = plda / ("plda_adapt_default.txt" if "adapt" in name else "plda")
        enrol = f"ark:{plda}/{'eval' if pairs else 'enroll'}_lda_ln.txt"
        tables = (plda / ("trials_utt" if pairs else "trials"), enrol, f"ark:{plda}/eval_lda_ln.txt")
        flags = ("--scoring=plda", f"--plda={model}", *options.format(plda).split())
        run("score_trials", *flags, *tables, work / "scores")
        yield "ivector-plda-scoring", name, scores_apart(work / "scores", plda / name)
    tables = (plda / "trials_utt", f"ark:{plda}/eval.txt", f"ark:{plda}/eval.txt")
    run("score_trials", "--scoring=cosine", f"--backend={work}/kaldis", *tables, work / "scores")
    cosine = scores_apart(work / "scores", plda / "scores_utt_cosine")
    yield "ivector-compute-dot-products", "scores_utt_cosine", cosine


def scores_apart(ours: Path, kaldis: Path) -> str:
    one, other = (np.array(path.read_text().split()[2::3], float) for path in (ours, kaldis))
    return f"{np.abs(one - other).max():.2g}, median {np.median(np.abs(one - other)):.2g}"


def table(rows: Callable[[Path, Path], Iterator[tuple[str, str, str]]], folder: Path) -> None:
    with tempfile.TemporaryDirectory() as work:
        for row in rows(folder, Path(work)):
            print("| {} | `{}` | {} |".format(*row), flush=True)


def main() -> None:
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "feats").is_dir():
        sys.exit(__doc__)
    oracle = Path(sys.argv[1]).resolve()
    print("| Kaldi's program | its file | distance |\n|---|---|---|")
    table(features, oracle / "feats")
    table(backend, oracle / "plda")


if __name__ == "__main__":
    main()
