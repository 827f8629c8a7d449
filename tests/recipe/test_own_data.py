"""The recipe on what users have already: features, embeddings of another toolkit, segments, manifests."""

import json
import re

import kaldiio
import numpy as np
import pytest
import soundfile
from lhotse import CutSet, Recording, RecordingSet, SupervisionSegment, SupervisionSet
from shell import ROOT, files, run

from xvkd.kaldi.tables import read_table

SPEAKERS = {"train": [f"tr{n}" for n in range(8)], "eval": [f"ev{n}" for n in range(4)]}
SIZES = {"ecapa": 12, "pooled": 20}


def utterances(name):
    """Six of each speaker, but one of the last."""
    every = {f"{speaker}-{number}": speaker for speaker in SPEAKERS[name] for number in range(6)}
    return {u: speaker for u, speaker in every.items() if speaker != SPEAKERS[name][-1] or u.endswith("-0")}


def save(folder, name, arrays):
    """An archive and its script, named as from the recipe's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    kaldiio.save_ark(str(folder / f"{name}.ark"), arrays, scp=str(folder / f"{name}.scp"))


def write_table(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key} {value}\n" for key, value in table.items()))


@pytest.fixture(scope="module")
def egs(tmp_path_factory):
    """A recipe of somebody else, without audio: features and VAD, a list of trials, embeddings of two levels."""
    root = tmp_path_factory.mktemp("their work") / "egs"
    random = np.random.default_rng(0)
    for name in SPEAKERS:
        utt2spk = utterances(name)
        write_table(root / "data" / name / "utt2spk", utt2spk)
        voices = {speaker: random.uniform(0.2, 3, 30) for speaker in SPEAKERS[name]}
        noise = {utterance: random.standard_normal((150, 30)) for utterance in utt2spk}
        features = {u: (noise[u] * voices[s]).astype(np.float32) for u, s in utt2spk.items()}
        save(root / "data" / name, "feats", features)
        save(root / "data" / name, "vad", {u: (np.arange(150) % 50 > 5).astype(np.float32) for u in utt2spk})
        for level, size in SIZES.items():
            if (name, level) != ("eval", "pooled"):
                centres = {speaker: 3 * random.standard_normal(size) for speaker in SPEAKERS[name]}
                save(root / "exp" / "my ecapa" / name, level, {
                    u: (centres[s] + random.standard_normal(size)).astype(np.float32) for u, s in utt2spk.items()
                })
    pairs = [(a, b) for a in utterances("eval") for b in utterances("eval") if a < b]
    (root / "veri.txt").write_text("".join(
        f"{int(a[:3] == b[:3])} {a.replace('-', '/')}.wav {b.replace('-', '/')}.wav\n" for a, b in pairs
    ))
    (root / "unlabelled.txt").write_text("".join(f"{a} {b}\n" for a, b in pairs))
    (root / "unknown.txt").write_text("ev0-0 ev0-1 target\nev0-0 nobody-1 nontarget\n")
    write_table(root / "data" / "broken" / "feats.scp", {"b-1": "x.ark:3", "a-1": "x.ark:9"})
    (root / "data" / "broken" / "utt2spk").write_text("b-1 b\nb-1 b\n")
    for script in root.glob("*/**/*.scp"):
        script.write_text(script.read_text().replace(f"{root}/", ""))
    return root


@pytest.fixture(scope="module")
def students(egs):
    """A run of the recipe that trains no teacher."""
    there = ["--data-root", egs.parent / "data", "--exp-root", egs.parent / "exp"]

    def start(*options, status=0):
        done = run(
            [ROOT / "run.sh", "--preset", "tiny", "--nj", "1", "--students", "label ecapa+pooled",
             "--student-set", "training.epochs=2", *there, "--teacher-embeddings", "exp/my ecapa", *options], cwd=egs,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done

    return start


@pytest.fixture(scope="module")
def finished(students):
    return students("--train-dir", "data/train", "--eval-dir", "data/eval", "--trials", "veri.txt")


def test_features_and_a_teachers_embeddings_are_enough(egs, finished):
    """From data directories without audio to a table of results, with no teacher trained and nothing copied."""
    exp, data = egs.parent / "exp" / "kaldi", egs.parent / "data" / "kaldi"
    assert not list((data / "log").glob("compute_*")) and not list(exp.glob("*/log/train.*"))
    for what in ("features of train", "voice activity of train", "features of eval", "voice activity of eval"):
        assert f"{what}: as given, not computed\n" in finished.stderr
    assert "no teacher to train: its embeddings are given" in finished.stderr
    entries = read_table(data / "train" / "feats.scp").values()
    assert all(entry.startswith(f"{egs}/data/train/feats.ark:") for entry in entries)
    (teacher,) = exp.glob("teacher_ext_my_ecapa_*")
    assert not list(teacher.rglob("*.ark"))
    records = json.loads((exp / "results" / "results.json").read_text())
    exported = {record["file"] for record in records if record["role"] == "export"}
    assert exported == {"student.features.onnx", "student.features.int8.onnx"}  # there are no recordings
    records = [record for record in records if record["role"] != "export"]
    levels = {(record["role"], "+".join(record["levels"])) for record in records}
    assert levels == {("teacher", "ecapa"), ("student", ""), ("student", "ecapa+pooled")}
    for record in records:
        assert record["set"] == "eval" and record["teacher"] == teacher.name
        assert record["teacher_parameters"] is None and record["reduction_percent"] is None
        assert (record["parameters"] is None) == (record["role"] == "teacher")
        if record["role"] == "teacher" and record["scoring"] == "cosine":
            assert record["eer_percent"] < 10  # these embeddings are good
    assert "| teacher | ecapa | given | 0 | - | - |" in finished.stdout
    assert "best on dev" not in finished.stdout.split("| teacher |")[1]


def test_a_second_run_finds_all_up_to_date(egs, students, finished):
    before = files(egs.parent / "exp")
    done = students("--train-dir", egs / "data" / "train", "--eval-dir", "data/eval/", "--trials", "./veri.txt")
    steps = re.findall(r"^[\d:]{8} ([^\n]*)", done.stderr, re.MULTILINE)
    # The best student, its export, what that gives of features, scores of two files, card, results.
    exported = 1 + 1 + 1 + 2 + 1 + 1
    steps = [step for step in steps if step.startswith("up to date: ")]
    assert len(steps) == 1 + 1 + 1 + 4 + 2 + 2 + 4 + 4 + 3 + 1 + 2 + exported
    after = files(egs.parent / "exp")
    assert {name for name in after if after[name] != before.get(name)} <= {"kaldi/options.txt"}


@pytest.mark.slow
def test_without_trials_there_are_students_but_no_table(egs, students, finished):
    """And what was given for eval before is no part of it any more."""
    done = students("--train-dir", "data/train", "--corpus", "alone", "--students", "ecapa:lda_cosine")
    exp = egs.parent / "exp" / "alone"
    assert "no scores: student of ecapa, lda_cosine: no set with trials and embeddings" in done.stderr
    assert "no table of results: nothing has been scored" in done.stderr and not (exp / "results").exists()
    (student,) = exp.glob("student_tdnn16_ext_my_ecapa_*_ecapa_lda_cosine_s0")
    assert read_table(student / "embeddings" / "train" / "embedding.scp").keys() == utterances("train").keys()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--students", "label frame"], "--students frame: .*train has no level 'frame' .there are: ecapa, pooled"),
        (["--teacher-embeddings", "exp"], "--teacher-embeddings .*exp': expected train/<level>.scp in it"),
        (["--distill-data", "data/eval"],
         "--distill-data '.*eval': --teacher-embeddings has none of it: expected .*/distill_eval_[0-9a-f]{4}/<level>"),
        (["--teacher-nnet3", "veri.txt"], "--teacher-embeddings, --teacher-nnet3, --teacher-onnx: one teacher a run"),
        (["--audio", "."], "--audio: one corpus a run|--train-dir: one corpus a run"),
        (["--train-dir", "data/no"], "--train-dir .*/data/no: no such folder or file"),
        (["--train-dir", "a\nb"], r"--train-dir .*\$'.*a\\nb': a line break in the name; rename it"),
        (["--trials", "veri.txt"], "--trials .*: of which utterances. Give --eval-dir DIR"),
        (["--eval-dir", "data/eval", "--trials", "unlabelled.txt", "--stage", "1"], "no labels: error rates need"),
        (["--eval-dir", "data/eval", "--trials", "unknown.txt", "--stage", "1"],
         "unknown.txt, line 2: 'nobody-1' is no utterance of .*eval: remove its trials, or add it there"),
        (["--train-dir", "data/broken", "--stage", "1"], "broken/utt2spk, line 2: 'b-1' stands twice: remove one"),
        (["--student-set", "input=mfcc_cmn_voiced training.epochs=x"], "training.epochs: .*expected int"),
    ],
)
def test_mistakes_are_told_before_any_work(egs, students, options, message):
    given = [] if "--train-dir" in options else ["--train-dir", "data/train"]
    done = students(*given, "--corpus", "mistaken", *options, status=1)
    assert re.search(message, done.stderr), done.stderr
    assert not (egs.parent / "data" / "mistaken" / "train").exists()
    assert not (egs.parent / "data" / "mistaken" / ".done").exists()


def test_an_evaluation_alone_has_nothing_to_train_on(egs, students):
    done = students("--eval-dir", "data/eval", "--corpus", "mistaken", status=1)
    assert "which training set? Give --train-dir DIR" in done.stderr


@pytest.fixture
def calls(tmp_path):
    """A data directory of two-channel calls, one of them behind a command, with segments."""
    random = np.random.default_rng(0)
    train = tmp_path / "calls of $(touch no)" / "data" / "train"
    train.mkdir(parents=True)
    for number in range(2):
        soundfile.write(train / f"it's call {number}.wav", 0.1 * random.standard_normal((32000, 2)), 8000)
    write_table(train / "wav.scp", {"call0": "it's call 0.wav", "call1": 'cat "it\'s call 1.wav" |'})
    write_table(train / "utt2spk", {"a-1": "a", "a-2": "a", "b-1": "b", "b-2": "b"})
    (train / "segments").write_text("a-1 call0 0 1.5 0\na-2 call1 0.5 4 0\nb-1 call0 1 4 1\nb-2 call1 0 -1\n")
    return train


def test_segments_channels_and_commands(calls, tmp_path):
    """Commands are run only if that is asked for, and then from where the user stands."""
    options = ["--preset", "tiny", "--train-dir", ".", "--stop-stage", "3", "--nj", "1"]
    options += ["--data-root", tmp_path / "data", "--exp-root", tmp_path / "exp"]
    done = run([ROOT / "run.sh", *options], cwd=calls)
    assert done.returncode == 1 and re.search(r"call1.*--allow-pipes", done.stderr)
    assert not (tmp_path / "data" / "kaldi" / "train" / "feats.scp").exists()
    done = run([ROOT / "run.sh", *options, "--allow-pipes"], cwd=calls)
    assert done.returncode == 0, done.stderr
    features = kaldiio.load_scp(str(tmp_path / "data" / "kaldi" / "train" / "feats.scp"))
    assert {name: len(features[name]) for name in features} == {"a-1": 150, "a-2": 350, "b-1": 300, "b-2": 400}
    assert not (calls / "no").exists() and not (ROOT / "no").exists()


def test_a_cut_set_is_split_by_speaker(tmp_path):
    """From where the user stands, under a name of its own."""
    recordings, supervisions = [], []
    for name in (f"s{speaker}-{number}" for speaker in range(10) for number in range(2)):
        soundfile.write(tmp_path / f"{name}.flac", 0.1 * np.ones(4000), 8000)
        recordings.append(Recording.from_file(tmp_path / f"{name}.flac"))
        supervisions.append(SupervisionSegment(id=name, recording_id=name, start=0, duration=0.5, speaker=name[:2]))
    cuts = CutSet.from_manifests(RecordingSet.from_recordings(recordings), SupervisionSet.from_segments(supervisions))
    cuts.to_file(tmp_path / "my cuts.jsonl.gz")
    options = ["--preset", "tiny", "--cuts", "my cuts.jsonl.gz", "--corpus", "meetings", "--stop-stage", "1"]
    done = run([ROOT / "run.sh", *options, "--data-root", "data", "--exp-root", "exp"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "data" / "meetings"
    sizes = {name: len(read_table(folder / name / "utt2spk")) for name in ("train", "dev", "eval")}
    assert sizes == {"train": 12, "dev": 4, "eval": 4}
