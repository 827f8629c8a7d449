"""The whole recipe as a user runs it: every stage on a very small corpus, then again, in parts and changed."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
import torch
import yaml
from onnx_files import xvector
from scipy.signal import resample_poly
from shell import ROOT, files, run

from xvkd.nets.models import TEACHERS, BuildRecord, build_network

SPEAKERS = {"train": 8, "dev": 4, "eval": 4}
COPIES = {"train_copies": "train", "eval_noisy": "eval"}
LEVELS = ["frame1", "frame2", "frame3", "frame4", "frame", "stats", "segment6", "segment7"]
STUDENTS = {"label": "label_softmax", "frame+segment6": "frame+segment6_mse"}
LISTS = {
    f"{name}{suffix}": f"{name}/trials{suffix}" for name in ("dev", "eval", "eval_noisy") for suffix in ("", "_multi")
}  # fmt: skip
SCORINGS = {"cosine", "lda_cosine", "lda_cosine_asnorm", "plda"}


class Recipe:
    """A user with a folder for data and experiments, and the options that they always give."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        self.options = ["--preset", "tiny", *options, "--data-root", root / "data", "--exp-root", root / "exp"]
        self.data, self.exp = root / "data" / "tiny", root / "exp" / "tiny"
        self.teacher = self.exp / "teacher_tdnn_tiny_s0"
        self.students = {
            levels: self.exp / f"student_tdnn16_tdnn_tiny_{name}_s0" for levels, name in STUDENTS.items()
        }

    def __call__(self, *options: str, status: int = 0, **changes: str) -> subprocess.CompletedProcess[str]:
        done = run([ROOT / "run.sh", *self.options, *options], **changes)
        assert done.returncode == status, done.stderr
        return done


@pytest.fixture(scope="session")
def first(tmp_path_factory):
    """The recipe after one run of all stages, and that run."""
    sets = " ".join(f"options.sets.{name}.speakers={number}" for name, number in SPEAKERS.items())
    recipe = Recipe(tmp_path_factory.mktemp("recipe"), "--corpus-set", sets, "--students", " ".join(STUDENTS))
    return recipe, recipe("--nj", "2")


@pytest.fixture(scope="session")
def recipe(first):
    return first[0]


def table(path):
    """A Kaldi table: lines "key value", which must be sorted."""
    lines = path.read_text().splitlines()
    assert lines == sorted(lines, key=lambda line: line.split()[0].encode())
    rows = dict(line.split(maxsplit=1) for line in lines)
    assert len(rows) == len(lines)
    return rows


def test_all_stages_are_run_in_order(first):
    numbers = re.findall(r"stage (\d+): ", first[1].stderr)
    assert [int(number) for number in numbers] == list(range(12))
    assert re.search(r"done in \d+ min \d+ s$", first[1].stderr)


@pytest.mark.parametrize("name", SPEAKERS)
def test_data_directories_are_kaldis(recipe, name):
    folder = recipe.data / name
    utt2spk, spk2utt = table(folder / "utt2spk"), table(folder / "spk2utt")
    assert len(spk2utt) == SPEAKERS[name] and len(utt2spk) == 6 * SPEAKERS[name]
    assert {utt: spk for spk, utts in spk2utt.items() for utt in utts.split()} == utt2spk
    assert all(utterance.startswith(speaker) for utterance, speaker in utt2spk.items())
    for file in ("wav.scp", "utt2dur", "feats.scp", "vad.scp"):
        assert table(folder / file).keys() == utt2spk.keys(), file
    features, vad = kaldiio.load_scp(str(folder / "feats.scp")), kaldiio.load_scp(str(folder / "vad.scp"))
    for utterance, seconds in table(folder / "utt2dur").items():
        assert features[utterance].shape == (len(vad[utterance]), 30)
        assert len(vad[utterance]) == pytest.approx(100 * float(seconds), abs=1)
        assert set(vad[utterance]) <= {0.0, 1.0}
    if name != "train":
        for line in (folder / "trials").read_text().splitlines():
            enrol, test, kind = line.split()
            assert (utt2spk[enrol] == utt2spk[test]) == (kind == "target")


@pytest.mark.parametrize("name", COPIES)
def test_copies_have_what_their_originals_have(recipe, name):
    folder, source = recipe.data / name, recipe.data / COPIES[name]
    originals, utt2spk = table(folder / "utt2uniq"), table(source / "utt2spk")
    assert len(originals) == len(utt2spk) * (2 if name == "train_copies" else 1)
    assert {original: table(folder / "utt2spk")[copy] for copy, original in originals.items()} == utt2spk
    clean, noisy = (kaldiio.load_scp(str(path / "feats.scp")) for path in (source, folder))
    marks = kaldiio.load_scp(str(folder / "vad.scp"))
    assert noisy.keys() == marks.keys() == originals.keys()
    for copy, original in originals.items():
        assert noisy[copy].shape == clean[original].shape and len(marks[copy]) == len(noisy[copy])
    if name == "train_copies":
        vad = table(source / "vad.scp")
        assert table(folder / "vad.scp") == {copy: vad[original] for copy, original in originals.items()}


def test_features_of_a_second_kind(recipe):
    """Those that a network reads are computed for all sets, and nothing else is done again."""
    done = recipe("--teacher-set", "input=fbank80_cmn_voiced", "--stage", "3", "--stop-stage", "3")
    lines = re.findall(r"^[\d:]{8} (features of \S+, fbank80|voice .*|features .*)$", done.stderr, flags=re.MULTILINE)
    assert sorted(lines) == sorted(f"features of {name}, fbank80" for name in SPEAKERS | COPIES)
    for name in SPEAKERS | COPIES:
        kinds = [kaldiio.load_scp(str(recipe.data / name / f"{kind}.scp")) for kind in ("feats", "feats_fbank80")]
        assert kinds[0].keys() == kinds[1].keys()
        key = next(iter(kinds[0]))
        assert kinds[0][key].shape[0] == kinds[1][key].shape[0] and kinds[1][key].shape[1] == 80


def test_embeddings_are_kaldis(recipe):
    sizes = dict(zip(LEVELS, [32, 32, 32, 32, 48, 96, 32, 32], strict=True))
    for name in SPEAKERS:
        utterances = table(recipe.data / name / "utt2spk").keys()
        folder = recipe.teacher / "embeddings" / name
        assert (folder / "levels").read_text().split() == LEVELS
        for level, size in sizes.items():
            vectors = kaldiio.load_scp(str(folder / f"{level}.scp"))
            assert vectors.keys() == utterances
            assert all(vector.shape == (size,) and np.isfinite(vector).all() for vector in vectors.values())
        for folder in recipe.students.values():
            assert table(folder / "embeddings" / name / "embedding.scp").keys() == utterances


def test_backends_are_kaldis(recipe):
    mean = kaldiio.load_mat(str(recipe.teacher / "backend" / "frame" / "mean.vec"))
    transform = kaldiio.load_mat(str(recipe.teacher / "backend" / "frame" / "transform.mat"))
    assert mean.shape == (48,)
    assert transform.shape == (SPEAKERS["train"] - 1, 48 + 1)  # with the offset
    assert (recipe.teacher / "backend" / "frame" / "plda").read_bytes().startswith(b"\0B<Plda> ")


def test_scores_are_of_every_trial(recipe):
    for folder in [*recipe.students.values(), recipe.teacher]:
        for level in LEVELS if folder == recipe.teacher else ["embedding"]:
            for name, trials in LISTS.items():
                asked = [line.rsplit(" ", 1)[0] for line in (recipe.data / trials).read_text().splitlines()]
                for scoring in SCORINGS:
                    lines = (folder / "scores" / level / f"{name}.{scoring}.txt").read_text().splitlines()
                    assert [line.rsplit(" ", 1)[0] for line in lines] == asked
                    assert all(np.isfinite(float(line.rsplit(" ", 1)[1])) for line in lines)


def test_results(recipe, first):
    records = json.loads((recipe.exp / "results" / "results.json").read_text())
    keys = {
        "corpus", "system", "role", "teacher", "levels", "loss", "seed", "parameters", "teacher_parameters",
        "reduction_percent", "set", "scoring", "trials", "eer_percent", "mindcf_0.01", "mindcf_0.05",
        "eer_ci", "min_cllr", "cllr", "actdcf_0.01", "actdcf_0.05",
    }
    assert all(keys <= record.keys() for record in records)
    exported = [record for record in records if record["role"] == "export"]
    records = [record for record in records if record["role"] != "export"]
    systems = {record["system"] for record in records}
    assert systems == {f"{recipe.teacher.name}/{level}" for level in LEVELS} | {
        folder.name for folder in recipe.students.values()
    }
    found = {(record["system"], record["set"], record["scoring"]) for record in records}
    assert len(found) == len(records) == len(systems) * len(LISTS) * len(SCORINGS)
    for record in records:
        brief = record["set"] == "eval" and record["scoring"] in ("cosine", "plda")
        assert list(record.get("pairings", {})) == (["1s", "2s", "4s"] if brief else [])
        assert 0 <= record["eer_percent"] <= 100 and 0 <= record["mindcf_0.01"] <= 1
        assert record["corpus"] == "tiny" and record["teacher"] == recipe.teacher.name
    # The student that is best on dev, in four files, on what has not been degraded here.
    lists = {name for name in LISTS if "noisy" not in name}
    assert {record["file"] for record in exported} == {
        "student.onnx", "student.int8.onnx", "student.features.onnx", "student.features.int8.onnx"
    }  # fmt: skip
    assert {record["set"] for record in exported} == lists and len(exported) == 4 * len(lists)
    own = {(record["system"], record["set"], record["scoring"]): record["eer_percent"] for record in records}
    best = {record["exported_from"] for record in exported}
    assert best == {min((r["eer_percent"], r["system"]) for r in records
                        if (r["role"], r["set"], r["scoring"]) == ("student", "dev", "plda"))[1]}  # fmt: skip
    for record in exported:
        whole = own[record["exported_from"], record["set"], "plda"]
        # One trial of a list of 18 targets is 5.6 %.
        assert record["scoring"] == "plda" and abs(record["eer_percent"] - whole) < 12
    report = (recipe.exp / "results" / "RESULTS.md").read_text()
    assert "ynthetic" in report  # what it was measured on
    for name in LISTS:
        rows = re.split(r"^## ", report, flags=re.MULTILINE)
        section = next(text for text in rows if text.startswith(f"{name} ("))
        assert section.count("\n| teacher tdnn |") == len(LEVELS)
        assert section.count("\n| student tdnn |") == len(STUDENTS)
    assert "| teacher tdnn |" in first[1].stdout  # the table is shown at the end


def test_second_run_does_nothing(recipe, tmp_path):
    """Nothing is computed, so that not even a package is imported."""
    for package in ("torch", "numpy", "scipy", "lhotse", "omegaconf", "xvkd"):
        (tmp_path / f"{package}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write('{package} ')")
    before = files(recipe.root)
    done = recipe(PYTHONPATH=str(tmp_path))
    after = files(recipe.root)
    assert not (tmp_path / "imported").exists()
    assert {name for name in before | after if before.get(name) != after.get(name)} <= {"exp/tiny/options.txt"}
    # A line a step: noise and copies, 5 sets with features and VAD, teacher, its embeddings; students, theirs; back
    # ends, scores; results; the best level, folds; the best student, its export, what two kinds of files give, four
    # files' scores, card, results.
    steps = 1 + 2 + 4 + 10 + 1 + 5 + 2 + 10 + 10 + 10 + 1 + 1 + 3 + 1 + 1 + 2 + 4 + 1 + 1
    assert len(re.findall(r"^[\d:]{8} up to date: ", done.stderr, flags=re.MULTILINE)) == steps


def test_results_are_shown_again(recipe):
    done = recipe("--stage", "10")
    assert (recipe.exp / "results" / "RESULTS.md").read_text().splitlines()[0] in done.stdout


def test_parts_of_the_recipe(recipe):
    done = recipe("--stage", "7", "--stop-stage", "10", "--skip-stages", "8")
    assert re.findall(r"stage (\d+): ", done.stderr) == ["7", "9", "10"]


def test_removed_scores_are_made_again_by_their_stage_alone(recipe):
    folder = recipe.teacher / "scores" / "segment6"
    before = {path.name: path.read_bytes() for path in folder.glob("[a-z]*")}
    shutil.rmtree(folder)
    done = recipe("--stage", "9", "--stop-stage", "9")
    assert {path.name: path.read_bytes() for path in folder.glob("[a-z]*")} == before
    assert done.stderr.count(" up to date: ") == 9 and " scores: teacher, segment6\n" in done.stderr


def test_failure_names_stage_and_log_and_shows_its_end(recipe):
    scores = recipe.students["label"] / "scores" / "embedding"
    script = recipe.students["label"] / "embeddings" / "eval" / "embedding.scp"
    whole, mark = script.read_text(), scores / ".done"
    old = mark.read_text()
    try:
        script.write_text("".join(whole.splitlines(keepends=True)[1:]))
        mark.unlink()
        done = recipe("--stage", "9", status=1)
    finally:
        script.write_text(whole)
    missing = whole.split()[0]
    assert re.search(rf"error: .*trials: '{missing}' has no embedding in \S*/eval/embedding\.scp", done.stderr)
    assert re.search(r"The end of .*/log/score\.1\.log:", done.stderr)
    assert done.stderr.splitlines()[-1].startswith("run.sh: error: stage 9 (score) failed; ")
    assert "stage 10" not in done.stderr and not mark.exists()
    mark.write_text(old)


def test_changed_students_are_redone_and_the_teacher_is_not(recipe):
    models = {folder: files(folder)["model.safetensors"] for folder in [recipe.teacher, *recipe.students.values()]}
    change = ["--student-set", "training.epochs=2"]
    done = recipe(*change, "--stage", "3", "--stop-stage", "6")
    assert "up to date: train the teacher tdnn_tiny" in done.stderr
    changed = {folder for folder, model in models.items() if files(folder)["model.safetensors"] != model}
    assert changed == set(recipe.students.values())
    for levels in STUDENTS:
        assert re.search(rf" train the student of {re.escape(levels)}, \w+ \(changed since: command\)", done.stderr)
    # What stands on them would follow, and nothing else.
    done = recipe(*change, "--stage", "7", "--stop-stage", "8", "--dry-run")
    assert done.stdout.count("extract_embeddings.py") == len(STUDENTS) * len([*SPEAKERS, "eval_noisy", "train_copies"])
    assert done.stderr.count("up to date: back end: teacher") == len(LEVELS)


def test_a_network_of_kaldis_is_the_teacher(recipe, golden, tmp_path):
    """It is read where another would be trained; its levels are dumped, and students distilled from them."""
    shutil.copy(golden / "nnet3" / "final.raw", tmp_path / "the final.raw")
    command = [
        ROOT / "run.sh", "--preset", "tiny", "--teacher-nnet3", "the final.raw", "--students", "frame+segment6",
        "--student-set", "training.epochs=1", "--stop-stage", "6", "--skip-stages", "1 2 3",
        "--data-root", recipe.root / "data", "--exp-root", "exp",
    ]  # fmt: skip
    done = run(command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "read the teacher " in done.stderr and "train the teacher" not in done.stderr
    exp = tmp_path / "exp" / "tiny"
    (teacher,) = exp.glob("teacher_*")
    assert re.fullmatch(r"teacher_nnet3_[0-9a-f]{8}", teacher.name)  # no other network's folder
    assert (teacher / "embeddings" / "train" / "levels").read_text().split() == LEVELS
    vectors = kaldiio.load_scp(str(teacher / "embeddings" / "eval" / "segment6.scp"))
    assert len(vectors) == 6 * SPEAKERS["eval"] and all(vector.shape == (32,) for vector in vectors.values())
    (student,) = exp.glob("student_*")
    assert student.name == f"student_tdnn16_{teacher.name.removeprefix('teacher_')}_frame+segment6_mse_s0"
    record = yaml.safe_load((student / "config.yaml").read_text())
    assert (record["teacher"], record["teacher_parameters"]) == (teacher.name, 35456)
    assert record["levels"]["embedding"]["size"] == 96 + 32
    assert "up to date: read the teacher " in run(command, cwd=tmp_path).stderr
    (tmp_path / "the final.raw").write_bytes(b"\0B<Nnet3> ")
    done = run(command, cwd=tmp_path)
    assert done.returncode == 1 and "the final.raw: damaged, or not an nnet3 network" in done.stderr
    assert "stage 0 (environment) failed" in done.stderr and list(exp.glob("teacher_*")) == [teacher]


def test_a_network_in_an_onnx_file_is_the_teacher(recipe, tmp_path):
    """Stage 3 computes what it reads beside what the student reads; its levels are dumped and distilled."""
    torch.manual_seed(0)
    arch = {"frame_widths": [16, 16, 16, 16, 24], "segment_widths": [12]}
    network = build_network(BuildRecord(TEACHERS, "tdnn", arch, 80, 0), "small").eval()
    xvector(network).save(tmp_path / "the model.onnx", "segment6")
    command = [
        ROOT / "run.sh", "--preset", "tiny", "--teacher-onnx", "the model.onnx", "--teacher-input", "fbank80_wespeaker",
        "--levels", "frame=FRAME5,segment6=segment6", "--students", "frame+segment6", "--student-set",
        "training.epochs=1", "--stop-stage", "6", "--skip-stages", "1 2", "--augmentation", "none", "--noisy-sets", "",
        "--data-root", recipe.root / "data", "--exp-root", "exp",
    ]  # fmt: skip
    done = run(command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "features of eval, fbank80_hamming" in done.stderr
    exp = tmp_path / "exp" / "tiny-none"
    (teacher,) = exp.glob("teacher_*")
    assert re.fullmatch(r"teacher_onnx_[0-9a-f]{8}_fbank80_wespeaker", teacher.name)
    assert (teacher / "embeddings" / "train" / "levels").read_text().split() == ["frame", "segment6"]
    vectors = kaldiio.load_scp(str(teacher / "embeddings" / "eval" / "frame.scp"))
    features = kaldiio.load_scp(str(recipe.root / "data" / "tiny" / "eval" / "feats_fbank80_hamming.scp"))
    assert len(vectors) == 6 * SPEAKERS["eval"] and vectors.keys() == features.keys()
    key = next(iter(vectors))
    frames = torch.from_numpy(features[key] - features[key].mean(axis=0))
    expected = network(frames[None], levels=["frame"])["frame"][0].detach().numpy()
    np.testing.assert_allclose(vectors[key], expected, atol=1e-3)
    (student,) = exp.glob("student_*")
    assert yaml.safe_load((student / "config.yaml").read_text())["levels"]["embedding"]["size"] == 24 + 12
    assert "up to date: read the teacher " in run(command, cwd=tmp_path).stderr


@pytest.fixture(scope="session")
def recordings(recipe, tmp_path_factory):
    """A tree of "real" recordings, <speaker>/<session>/<file>, of every kind that users have."""
    root = tmp_path_factory.mktemp("user") / "my speech"
    speakers = sorted(path for path in (recipe.data / "audio").glob("*/*") if path.is_dir())
    assert len(speakers) == sum(SPEAKERS.values())
    for speaker in speakers:
        for number, path in enumerate(sorted(speaker.glob("*.wav"))):
            session = root / speaker.name / f"session{number // 3}"
            session.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, session / f"{number}.wav")
    first, second, third, fourth = (root / speaker.name / "session0" / "1.wav" for speaker in speakers[:4])
    samples, rate = soundfile.read(first)
    first.unlink()
    soundfile.write(first.with_suffix(".flac"), samples, rate)
    samples, rate = soundfile.read(second)
    soundfile.write(second, resample_poly(samples, 1, 2), rate // 2)
    samples, rate = soundfile.read(third)
    soundfile.write(third, np.stack([samples, 0.5 * samples], axis=1), rate)
    fourth.rename(fourth.with_name("it's a (long) name, änd more.wav"))
    (root / "README.txt").write_text("not a recording")
    return root


def test_own_recordings(recordings, tmp_path):
    options = [
        "--preset", "tiny", "--corpus", "folder", "--audio", recordings.name, "--students", "frame+segment6",
        "--nj", "1", "--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp",
    ]
    done = run([ROOT / "run.sh", *options], cwd=recordings.parent)
    assert done.returncode == 0, done.stderr
    found = {}
    for name in SPEAKERS:
        found |= table(tmp_path / "data" / "folder" / name / "wav.scp")
        assert table(tmp_path / "data" / "folder" / name / "feats.scp").keys() <= found.keys()
    assert sorted(found.values()) == sorted(map(str, (path for path in recordings.glob("*/*/*.*"))))
    records = json.loads((tmp_path / "exp" / "folder" / "results" / "results.json").read_text())
    assert {record["role"] for record in records} == {"teacher", "student", "export"}
    assert all(record["corpus"] == "folder" for record in records)
    assert "| student tdnn | frame+segment6 | mse |" in done.stdout and "ynthetic" not in done.stdout
    # Another recording: the corpus is prepared anew.
    shutil.copy(next(recordings.glob("*/*/2.wav")), recordings / "new.wav")
    done = run([ROOT / "run.sh", *options, "--stage", "1", "--stop-stage", "1", "--dry-run"], cwd=recordings.parent)
    assert f"manifests, data directories and trials (changed since: {recordings})" in done.stderr
