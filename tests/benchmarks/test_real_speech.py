"""Data directories of real speech: speakers disjoint, each tested once over the folds, impostors matched."""

import pytest
from shell import ROOT, run

HEADER = "utt\tspeaker\tsession\tgender\tage\tseconds\tpath\n"
FOLDS, SPEAKERS = 5, 40


@pytest.fixture
def speech(tmp_path):
    """Lists without audio: 40 speakers of 2 utterances, two ages and genders; 10 speakers of one long utterance."""
    folder = tmp_path / "speech"
    folder.mkdir()
    with open(folder / "speechocean762.tsv", "w") as file:
        file.write(HEADER)
        for n in range(SPEAKERS):
            who = f"so{n:02d}\ts0\t{'fm'[n % 2]}\t{10 + 20 * (n % 4 // 2)}"
            file.writelines(f"so-{n:02d}-{k}\t{who}\t3.0\tso/{n}-{k}.flac\n" for k in range(2))
    with open(folder / "librispeech.tsv", "w") as file:
        file.write(HEADER)
        file.writelines(f"ls-{n}\tls{n}\tch\tf\t\t14.0\tls/{n}.flac\n" for n in range(10))
    return folder


def prepare(*options):
    return run(["python3", ROOT / "benchmarks" / "real_speech.py", *options])


def table(path):
    return dict(line.split(maxsplit=1) for line in path.read_text().splitlines())


def test_folds_test_every_speaker_once(speech, tmp_path):
    tested = []
    for fold in range(FOLDS):
        out = tmp_path / f"fold{fold}"
        done = prepare("--folds", str(FOLDS), "--fold", str(fold), speech, out)
        assert done.returncode == 0, done.stderr
        sets = {name: set(table(out / name / "spk2utt")) for name in ("train", "dev", "eval")}
        assert sum(map(len, sets.values())) == len(set.union(*sets.values())) == SPEAKERS + 10
        assert all(name.startswith("so") for name in sets["dev"] | sets["eval"]) and sets["dev"] and sets["eval"]
        assert {f"ls{n}" for n in range(10)} < sets["train"]
        # A long recording is cut for training.
        assert sum(name.startswith("ls0-") for name in table(out / "train" / "utt2spk")) == 4
        tested += sets["eval"]
    assert sorted(tested) == [f"so{n:02d}" for n in range(SPEAKERS)]


def test_impostors_are_of_one_gender_and_age(speech, tmp_path):
    assert prepare(speech, tmp_path / "out").returncode == 0
    found = {"target": 0, "nontarget": 0}
    for line in (tmp_path / "out" / "eval" / "trials").read_text().splitlines():
        one, other, kind = line.split()
        numbers = [int(name[2:4]) for name in (one, other)]
        found[kind] += 1
        assert numbers[0] % 4 == numbers[1] % 4 and (numbers[0] == numbers[1]) == (kind == "target")
    assert found["target"] and found["nontarget"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", "5", "--fold", "5"], "--fold 5: expected one from 0 to 4, as there are 5 folds"),
        (["--folds", "1"], "--folds 1: expected at least 2"),
    ],
)
def test_impossible_folds_are_told(speech, tmp_path, options, message):
    done = prepare(*options, speech, tmp_path / "out")
    assert done.returncode == 1 and message in done.stderr and not (tmp_path / "out").exists()
