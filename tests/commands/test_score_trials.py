"""score_trials.py as users run it: Kaldi's scores from Kaldi's files, or one clear sentence."""

import gzip
import re
import subprocess
import sys

import numpy as np
import pytest
from backend_files import command, kaldis_backend, read_table, scores_of, write_table
from shell import ROOT, environment, run

# Kaldi's own distance, and half of the seventh digit of what is printed.
TOLERANCE = {"atol": 2.1e-5, "rtol": 5e-7}


@pytest.fixture(scope="module")
def files(golden, tmp_path_factory):
    """Kaldi's back end, models (raw means), evaluation embeddings, numbers of utterances, trials and scores."""
    folder = tmp_path_factory.mktemp("files")
    kaldis_backend(golden, folder / "backend")
    keys, vectors = read_table(golden / "kaldi" / "eval.ark")
    rows = {key: row for row, key in enumerate(keys)}
    lines = [line.split() for line in (golden / "kaldi" / "enroll_spk2utt").read_text().splitlines()]
    averages = [vectors[[rows[key] for key in members]].mean(axis=0) for _, *members in lines]
    write_table(folder / "enrol.ark", [model for model, *_ in lines], averages)
    write_table(folder / "test.ark", keys, vectors)
    (folder / "num_utts").write_text("".join(f"{model} {len(members)}\n" for model, *members in lines))
    scores = gzip.decompress((golden / "kaldi" / "scores_numutts.gz").read_bytes()).decode()
    (folder / "kaldis").write_text(scores)
    pairs = [line.split()[:2] for line in scores.splitlines()]
    (folder / "trials").write_text("".join(f"{a} {b} {'non' * (a not in b)}target\n" for a, b in pairs))
    return folder


def arguments(files, *options, trials=None, enrol=None, test=None):
    """The command's arguments but for the scores, PLDA with Kaldi's back end unless told otherwise."""
    return (
        *(options or ("--scoring=plda", f"--backend={files}/backend", f"--num-utts=ark:{files}/num_utts")),
        trials or files / "trials", enrol or f"scp:{files}/enrol.ark.scp", test or f"scp:{files}/test.ark.scp",
    )  # fmt: skip


def test_raw_embeddings_and_a_back_end_give_kaldis_scores(files, tmp_path):
    done = command("score_trials.py", *arguments(files), tmp_path / "scores")
    pairs, ours = scores_of(tmp_path / "scores")
    kaldis_pairs, kaldis = scores_of(files / "kaldis")
    assert pairs == kaldis_pairs and "4840 trials of 40 models and 121 test utterances" in done.stderr
    np.testing.assert_allclose(ours, kaldis, **TOLERANCE)


def test_models_are_enrolled_from_their_utterances(files, golden, tmp_path):
    """The means and numbers of utterances that Kaldi's ivector-mean makes of a spk2utt."""
    enrolments, how = golden / "kaldi" / "enroll_spk2utt", ("--scoring=plda", f"--backend={files}/backend")
    for table in (f"scp:{files}/test.ark.scp", f"ark:{files}/test.ark"):
        given = arguments(files, *how, f"--enrolments={enrolments}", enrol=table)
        command("score_trials.py", *given, tmp_path / "scores")
        np.testing.assert_allclose(scores_of(tmp_path / "scores")[1], scores_of(files / "kaldis")[1], **TOLERANCE)
    (tmp_path / "scores").unlink()
    (tmp_path / "map").write_text("evl000 evl000-u00 nobody\n")
    how = (*how, f"--enrolments={tmp_path}/map")
    message = "map: model 'evl000': utterance 'nobody' has no vector in .*test.ark.scp"
    assert_error(message, tmp_path, *arguments(files, *how, enrol=f"scp:{files}/test.ark.scp"))
    assert_error("--enrolments says it", tmp_path, *arguments(files, *how, f"--num-utts=ark:{files}/num_utts"))


@pytest.mark.parametrize(
    ("scores", "options"),
    [
        ("scores_numutts", "--num-utts=ark:enroll_num_utts.txt --normalize-length=true"),
        ("scores_nonumutts", ""),
        ("scores_numutts_noln", "--num-utts=ark:enroll_num_utts.txt --normalize-length=false"),
        ("scores_numutts_adapt_default", "--num-utts=ark:enroll_num_utts.txt"),
        ("scores_utt", ""),
        ("scores_utt_cosine", ""),
    ],
)
def test_every_score_file_of_kaldis(oracle, tmp_path, scores, options):
    """From Kaldi's own vectors after LDA and length normalisation; cosine from centred ones."""
    folder = oracle / "plda"
    how = ["--scoring=plda", f"--plda={folder}/plda{'_adapt_default.txt' if 'adapt' in scores else ''}"]
    how += options.replace("ark:", f"ark:{folder}/").split()
    trials, enrol, test = folder / "trials", f"ark:{folder}/enroll_lda_ln.txt", f"ark:{folder}/eval_lda_ln.txt"
    if "cosine" in scores:
        mean = np.loadtxt([(folder / "mean.vec").read_text().strip(" []\n")])
        keys, raw = read_table(folder / "eval.txt")
        how, test = ["--scoring=cosine"], write_table(tmp_path / "centred.ark", keys, raw - mean)
    if scores.startswith("scores_utt"):
        trials, enrol = folder / "trials_utt", test
    command("score_trials.py", *how, trials, enrol, test, tmp_path / "scores")
    (pairs, ours), (kaldis_pairs, kaldis) = scores_of(tmp_path / "scores"), scores_of(folder / scores)
    assert pairs == kaldis_pairs
    np.testing.assert_allclose(ours, kaldis, atol=3e-5 if "noln" in scores else 2.1e-5, rtol=5e-7)


def test_standard_input_and_output_archives_and_unlabelled_trials(files, tmp_path):
    """In Kaldi's own calling convention: two columns of trials from a pipe, scores into one."""
    command("score_trials.py", *arguments(files), tmp_path / "expected")
    enrol, test = (f"ark:{files}/{name}.ark" for name in ("enrol", "test"))
    two_columns = "".join(" ".join(pair) + "\n" for pair in scores_of(files / "kaldis")[0])
    done = subprocess.run(
        [sys.executable, ROOT / "pyscripts" / "score_trials.py",
         *map(str, arguments(files, trials="-", enrol=enrol, test=test)), "-"],
        env=environment(PYTHONPATH=str(ROOT / "pyscripts")), input=two_columns, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == (tmp_path / "expected").read_text(), done.stderr
    pipes = arguments(files, trials=f"cut -d' ' -f1,2 {files}/trials |", test=f"ark:cat {files}/test.ark |")
    command("score_trials.py", "--allow-pipes", *pipes, f"| gzip -c > {tmp_path}/scores.gz")
    assert gzip.decompress((tmp_path / "scores.gz").read_bytes()).decode() == (tmp_path / "expected").read_text()


def test_cosines_with_and_without_a_back_end(files, tmp_path):
    (models, enrol), (utterances, test) = read_table(files / "enrol.ark"), read_table(files / "test.ark")
    mean = np.loadtxt([(files / "backend" / "mean.vec").read_text().strip(" []\n")])
    transform = np.loadtxt((files / "backend" / "transform.mat").read_text().strip(" []\n").splitlines())
    for options, shift, linear in [
        (["--scoring=cosine"], 0, np.eye(64)),
        (["--scoring=cosine", f"--backend={files}/backend"], mean, np.eye(64)),
        (["--scoring=lda_cosine", f"--backend={files}/backend"], mean, transform[:, :64]),
    ]:
        command("score_trials.py", *arguments(files, *options), tmp_path / "scores")
        pairs, ours = scores_of(tmp_path / "scores")
        left, right = ((vectors - shift) @ linear.T for vectors in (enrol, test))
        left, right = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (left, right))
        expected = [left[models.index(model)] @ right[utterances.index(key)] for model, key in pairs[::50]]
        np.testing.assert_allclose(ours[::50], expected, atol=1e-6)


def test_options_replace_the_configuration_and_kaldis_defaults(files, tmp_path):
    """Whatever is asked for is what happens: a flag, a file of values, the same table on both sides."""
    (tmp_path / "trials").write_text("evl000-u00 evl000-u01\nevl000-u00 evl001-u00\n")
    how, scores = ("--scoring=plda", f"--backend={files}/backend"), {}
    config = ROOT / "conf" / "backend.yaml"
    for name, options in {
        "plain": (), "spelled out": ("--normalize-length=true", "--smoothing=0.0"), "file": (f"--config={config}",),
        "simple": ("--simple-length-normalization=true",), "no": ("--normalize-length=false",),
        "smoothed": (f"--config={config}", "--smoothing=0.2"),
    }.items():  # fmt: skip
        given = arguments(files, *how, *options, trials=tmp_path / "trials", enrol=f"scp:{files}/test.ark.scp")
        command("score_trials.py", *given, tmp_path / "s")
        scores[name] = (tmp_path / "s").read_text()
    assert scores["plain"] == scores["spelled out"] == scores["file"]
    assert len(set(scores.values())) == 4


def test_trials_without_vectors_are_refused_or_left_out(files, tmp_path):
    trials = tmp_path / "trials"
    trials.write_text("evl000 evl001-u00\nevl000 nobody\nnobody evl001-u00\n")
    message = r"2 of 3 trials, the first of them 'evl000 nobody', lack a vector in .*enrol.ark.scp or .*test.ark.scp"
    assert_error(message, tmp_path, *arguments(files, trials=trials))
    done = command("score_trials.py", "--skip-missing", *arguments(files, trials=trials), tmp_path / "scores")
    assert re.search(f"warning: .*{message} and are left out", done.stderr)
    assert [pair for pair, _ in zip(*scores_of(tmp_path / "scores"), strict=True)] == [["evl000", "evl001-u00"]]
    (tmp_path / "scores").unlink()
    trials.write_text("x y\n")
    assert_error("1 of 1 trials", tmp_path, "--skip-missing", *arguments(files, trials=trials))


def test_unusable_trials_vectors_and_numbers_are_told(files, tmp_path):
    def told(message, *options, **changed):
        assert_error(message, tmp_path, *arguments(files, *options, **changed))

    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    told("empty: no 'enrolment test' lines; the file is empty", trials=empty)
    told("empty: no vectors", enrol=f"ark:{empty}")
    keys, vectors = read_table(files / "test.ark")
    vectors[5, 3] = np.nan
    told(f"nan.ark: key '{keys[5]}' at offset .*: NaN or inf", test=write_table(tmp_path / "nan.ark", keys, vectors))
    small = write_table(tmp_path / "small.ark", keys, vectors[:, 10:40])
    told("small.ark.scp: 30-dimensional vectors, where the back end or PLDA model takes 64", test=small)
    told("small.ark.scp: 30-dimensional vectors; those of .*enrol.ark.scp have 64", "--scoring=cosine", test=small)
    told("takes 32;", "--scoring=plda", f"--plda={files}/backend/plda")
    told("plda: takes a PLDA model or a back end", "--scoring=plda")
    told("--plda, --num-utts: cosine makes no use", "--scoring=cosine", f"--plda={files}/backend/plda")
    numbers = (files / "num_utts").read_text().splitlines(True)
    for first in ("", "evl000 0\n"):
        (tmp_path / "num").write_text(first + "".join(numbers[1:]))
        how = ("--scoring=plda", f"--backend={files}/backend", f"--num-utts=ark:{tmp_path}/num")
        told("num: 1 of the 40 models of .*enrol.ark.scp, 'evl000' among them, have no number", *how)


def test_a_plda_model_of_another_dimension_is_told(files, golden, tmp_path):
    random = np.random.default_rng(1)
    keys = [f"s{row // 3}-u{row}" for row in range(60)]
    (tmp_path / "utt2spk").write_text("".join(f"{key} {key.split('-')[0]}\n" for key in keys))
    vectors = np.repeat(random.normal(size=(20, 64)), 3, axis=0) + random.normal(size=(60, 64))
    command(
        "train_backend.py", "--lda-dim=7", "--num-em-iters=2", "--total-covariance-factor=0",
        write_table(tmp_path / "v.ark", keys, vectors), tmp_path / "utt2spk", tmp_path / "other",
    )  # fmt: skip
    how = ("--scoring=plda", f"--backend={files}/backend", f"--plda={tmp_path}/other/plda")
    assert_error("backend: its LDA gives 32 dimensions, the PLDA model takes 7", tmp_path, *arguments(files, *how))


def assert_error(message, folder, *options):
    done = command("score_trials.py", *options, folder / "scores", status=1)
    assert re.search(message, done.stderr.splitlines()[-1]), done.stderr
    assert not (folder / "scores").exists()


def test_nothing_is_imported_that_takes_longer_than_the_scoring(files, tmp_path):
    """Each of these takes a third to all of the time that 100,000 trials take."""
    given = (*arguments(files), "--normalize-length=true", tmp_path / "scores")
    done = run(
        ["python3", "-X", "importtime", ROOT / "pyscripts" / "score_trials.py", *given],
        PYTHONPATH=str(ROOT / "pyscripts"),
    )
    imported = set(re.findall(r"\| +([a-z_]+)", done.stderr))
    assert "numpy" in imported and (tmp_path / "scores").exists()
    assert imported.isdisjoint({"scipy", "omegaconf", "yaml", "kaldiio", "torch"})


def test_help_names_kaldis_programs():
    text = command("score_trials.py", "--help").stdout
    assert "ivector-plda-scoring" in text and "ivector-compute-dot-products" in text and "ivector-copy-plda" in text
