"""Trial lists of Kaldi, VoxCeleb and WeSpeaker say the same; what they name is found, or the line is told."""

import pytest

from xvkd.corpora.names import Names
from xvkd.corpora.trial_formats import read_trial_list
from xvkd.errors import UserError

A, B, C = (f"id1027{n}-5r0dWxy17C8-0000{n}" for n in range(3))
PATHS = {name: name.replace("-", "/") + ".wav" for name in (A, B, C)}
TRIALS = [(A, B, True), (A, C, False), (B, C, False)]
NAMES = Names({name: name for name in (A, B, C)})


def read(tmp_path, text, enrol=None, names=NAMES):
    path = tmp_path / "trials.txt"
    path.write_bytes(text.encode())
    if enrol is not None:
        (tmp_path / "models").write_text(enrol)
    return read_trial_list(path, None if enrol is None else tmp_path / "models", names, "my eval")


def lines(form, spell=lambda name: name, trials=TRIALS):
    return "".join(form.format(spell(a), spell(b), target) + "\n" for a, b, target in trials)


KALDI = [(a, b, "target" if target else "nontarget") for a, b, target in TRIALS]
DIGITS = [(a, b, int(target)) for a, b, target in TRIALS]


@pytest.mark.parametrize(
    "text",
    [
        lines("{0} {1} {2}", trials=KALDI),
        lines("{0} {1} {2}", PATHS.get, KALDI),
        lines("{0} {1} {2}", trials=DIGITS),
        lines("{2} {0} {1}", trials=DIGITS),
        lines("{2} {0} {1}", PATHS.get, DIGITS),
        lines("{2} {0} {1}", lambda name: PATHS[name].replace(".wav", ".FLAC"), DIGITS),
        lines("{2} {0} {1}", lambda name: f"{name}.wav", DIGITS),
        lines("{2}\t{0}\t{1}", PATHS.get, DIGITS).replace("\n", "\r\n"),
        "\n" + lines("  {2}  {0} {1} ", PATHS.get, DIGITS) + "\n\n",
    ],
)
def test_every_format_and_spelling_says_the_same(tmp_path, text):
    found = read(tmp_path, text)
    assert found.trials == TRIALS and found.enrolments is None


def test_ids_that_are_paths_are_found_as_ids_and_without_ending(tmp_path):
    """As WeSpeaker calls utterances."""
    names = Names({path: path for path in PATHS.values()})
    expected = [(PATHS[a], PATHS[b], target) for a, b, target in TRIALS]
    assert read(tmp_path, lines("{2} {0} {1}", PATHS.get, DIGITS), names=names).trials == expected
    assert read(tmp_path, lines("{0} {1} {2}", trials=KALDI), names=names).trials == expected


def test_the_exact_name_goes_before_one_that_is_spelled_alike(tmp_path):
    names = Names({"a": "a", "a.wav": "a.wav", "b": "b"})
    assert [trial[:2] for trial in read(tmp_path, "1 a b\n0 a.wav b\n", names=names).trials] == [
        ("a", "b"), ("a.wav", "b"),
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"line 2: 'a\.flac' is no utterance"):
        read(tmp_path, "1 a b\n0 a.flac b\n", names=names)


def test_names_that_utterances_had_elsewhere_are_found(tmp_path):
    names = Names({"seg 1": "x-seg_1", "1": "x-1", "2": "y-2"})
    assert read(tmp_path, "1 2 target\n2 1 nontarget\n", names=names).trials == [
        ("x-1", "y-2", True), ("y-2", "x-1", False),
    ]  # fmt: skip


def test_a_list_without_labels_keeps_its_pairs(tmp_path):
    pairs = [(a, b, None) for a, b, _ in TRIALS]
    assert read(tmp_path, lines("{0} {1}", PATHS.get)).trials == pairs


def test_models_come_from_the_enrolment_map(tmp_path):
    found = read(tmp_path, f"m1 {C} target\nm2 {C} nontarget\n", enrol=f"m1 {A} {PATHS[B]}\nm2 {A}\n")
    assert found.enrolments == {"m1": [A, B], "m2": [A]}
    assert found.trials == [("m1", C, True), ("m2", C, False)]


@pytest.mark.parametrize(
    ("text", "enrol", "message"),
    [
        ("", None, "trials.txt: no trials; the file is empty"),
        ("\n \n", None, "trials.txt: no trials; the file is empty"),
        (f"{A} {B} target\n{A} {B}\n", None, r"line 2: expected 'enrolment test target\|nontarget' or '1\|0 enrolment"),
        (f"1 {A} {B} x\n", None, "line 1: expected"),
        (f"{A} {B} target\n\n{A} {C} No\n", None, r"line 3: 'No' is no label \(expected target or nontarget\)"),
        (f"1 {A} {B}\n2 {A} {C}\n", None, r"line 2: '2' is no label \(expected 1 or 0\)"),
        (f"{A} {B} 1\n{A} {C} target\n", None, r"line 2: 'target' is no label \(expected 1 or 0\)"),
        (f"{A} {B} {C}\n", None, rf"line 1: '{C}' is no label \(expected target or nontarget\)"),
        ("1 0 1\n0 1 0\n", None, "the first and the last column are all 0 and 1: write target and nontarget last"),
        (f"1 {A} {B}\n1 {A} x\n0 y {C}\n0 {A} x\n", None,
         r"line 3: 'y' is no utterance of my eval: remove its trials, or add it there"),
        (f"1 {A} {B}\n0 {A} x.wav\n0 {A} y\n0 {B} x.wav\n", None,
         r"line 2: 'x\.wav' is no utterance of my eval \(the first of 2 such names\)"),
        (f"{A} {B} target\n", None, "no non-target trials: error rates need trials of both kinds"),
        (f"0 {A} {B}\n", None, "no target trials"),
        (f"m1 {C} target\nm3 {C} nontarget\n", f"m1 {A}\n", r"line 2: 'm3' is no model of .*models"),
        (f"m1 {C} target\n", f"m1 {A} x\n", "models: model 'm1': 'x' is no utterance of my eval"),
        (f"m1 {C} target\n", f"m1 {A}\nm1 {B}\n", "models, line 2: 'm1' stands twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(tmp_path, text, enrol, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, text, enrol)


def test_files_that_are_no_lists_are_told(tmp_path):
    (tmp_path / "trials").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="trials: not a text table"):
        read_trial_list(tmp_path / "trials", None, NAMES, "eval")
    with pytest.raises(UserError, match="nowhere: no such file"):
        read_trial_list(tmp_path / "nowhere", None, NAMES, "eval")
