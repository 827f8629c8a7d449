"""Trial lists, enrolment maps and score files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xvkd.errors import UserError
from xvkd.kaldi import trials as trials_module
from xvkd.kaldi.trials import align_scores, read_enrolments, read_pairs, read_scores, read_trials, write_scores

LINES = "spk2 utt1 target\nspk1 utt1 nontarget\nspk2 utt3  nontarget\nspk1\tutt2 target\n"


@pytest.fixture
def trials(tmp_path):
    (tmp_path / "trials").write_text(LINES)
    return read_trials(tmp_path / "trials")


def test_trials_are_numbered_in_the_order_of_the_file(trials):
    assert trials.models == ["spk2", "spk1"] and trials.tests == ["utt1", "utt3", "utt2"]
    assert trials.model.tolist() == [0, 1, 0, 1] and trials.test.tolist() == [0, 0, 1, 2]
    assert trials.target.tolist() == [True, False, False, True] and trials.target.dtype == bool


def test_an_id_may_be_model_and_test(tmp_path):
    (tmp_path / "trials").write_text("a b target\nb a nontarget\n")
    trials = read_trials(tmp_path / "trials")
    assert (trials.models, trials.tests) == (["a", "b"], ["b", "a"]) and trials.test.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a b target\na c\n", "trials, line 2: expected 'enrolment test target|nontarget', got 'a c'"),
        (b"a b target\nc d impostor\n", "trials, line 2: .*got 'c d impostor'"),
        (b"a b target\n\nc d e nontarget\n", "trials, line 2: .*got ''"),
        (b"a b 1\n", "trials, line 1"),
        (b"", "trials: no 'enrolment test target|nontarget' lines"),
        (b"a b targetx\n", "trials, line 1"),
        (b"a b\nc d target\n", "trials, line 1: .*got 'a b'"),
        (b"\xff\xfe\x80 b target\n", "trials: not a text file"),
    ],
)
def test_malformed_lists_are_told_with_their_line(tmp_path, content, message):
    (tmp_path / "trials").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_trials(tmp_path / "trials")


def test_a_missing_list_is_told(tmp_path):
    with pytest.raises(UserError, match="trials: cannot be opened: No such file"):
        read_trials(tmp_path / "trials")


def test_enrolments_have_their_utterances_in_order(tmp_path):
    (tmp_path / "enrol").write_text("spk1 u2 u1  u3\nspk2 u9\n")
    assert read_enrolments(tmp_path / "enrol") == {"spk1": ["u2", "u1", "u3"], "spk2": ["u9"]}
    (tmp_path / "enrol").write_text("spk1 u2\nspk2\n")
    with pytest.raises(UserError, match="enrol, line 2"):
        read_enrolments(tmp_path / "enrol")


def test_scores_keep_the_order_of_the_trials_and_kaldis_seven_digits(tmp_path, trials):
    write_scores(tmp_path / "new" / "scores", trials, np.array([1.0, -2.5, 1 / 3, 123456.7]))
    assert (tmp_path / "new" / "scores").read_text() == (
        "spk2 utt1 1\nspk1 utt1 -2.5\nspk2 utt3 0.3333333\nspk1 utt2 123456.7\n"
    )


def test_scores_of_other_trials_leave_no_file(tmp_path, trials):
    with pytest.raises(ValueError):
        write_scores(tmp_path / "scores", trials, np.zeros(3))
    assert not (tmp_path / "scores").exists()


def test_pairs_may_have_a_label_or_none(tmp_path):
    for content in ("a b\nc b\n", "a b target\nc b whatever\n"):
        (tmp_path / "trials").write_text(content)
        pairs = read_pairs(tmp_path / "trials")
        assert (pairs.models, pairs.tests, len(pairs), pairs.name(1)) == (["a", "c"], ["b"], 2, "c b")


def test_many_scores_come_back_as_they_were_written(tmp_path, monkeypatch):
    """In several pieces, with ids of many lengths, beyond ASCII as well."""
    monkeypatch.setattr(trials_module, "LINES_AT_ONCE", 13)
    random = np.random.default_rng(2)
    lines = [f"m{'x' * (row % 11)} t\u00fc{'y' * (row % 23)}" for row in range(300)]
    (tmp_path / "trials").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    values = random.standard_normal(300) * 10 ** random.uniform(-6, 9, 300)
    write_scores(tmp_path / "scores", read_pairs(tmp_path / "trials"), values)
    written = (tmp_path / "scores").read_text(encoding="utf-8").splitlines()
    assert written == [f"{line} {value:.7g}" for line, value in zip(lines, values, strict=True)]
    scores = read_scores(tmp_path / "scores")
    assert [scores.name(row) for row in range(300)] == lines
    np.testing.assert_allclose(scores.score, values, rtol=5.1e-7)


@pytest.mark.parametrize("value", ["x", "nan", "inf", "1,5", "0x", ""])
def test_scores_that_are_no_numbers_are_told(tmp_path, value):
    (tmp_path / "scores").write_text(f"a b 1e-3\nc d {value}\n")
    with pytest.raises(UserError, match="scores, line 2: expected 'enrolment test score', got 'c d"):
        read_scores(tmp_path / "scores")


@given(st.one_of(st.binary(max_size=300), st.text("ab \t\n\r\x00\u00e91-.e", max_size=300).map(str.encode)))
def test_any_bytes_are_read_or_told(tmp_path_factory, content):
    """Never a crash; what is read is what its lines say."""
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    for read, columns in ((read_pairs, (2, 3)), (read_scores, (3,)), (read_trials, (3,))):
        try:
            pairs = read(path)
        except UserError as error:
            assert str(path) in str(error)
            continue
        lines = content.translate(bytes(max(byte, 32) if byte != 10 else 10 for byte in range(256))).splitlines()
        words = [line.decode(errors="replace").split(" ") for line in lines]
        words = [[word for word in line if word] for line in words]
        assert [pairs.name(row) for row in range(len(pairs))] == [" ".join(line[:2]) for line in words]
        assert {len(line) for line in words} <= set(columns)


def aligned(tmp_path, trials, text):
    (tmp_path / "scores").write_text(text)
    scores = read_scores(tmp_path / "scores")
    rows = align_scores(trials, scores, tmp_path / "scores")
    return [scores.score[row] if row >= 0 else None for row in rows]


def test_scores_find_their_trials_in_any_order(tmp_path, trials):
    in_order = "spk2 utt1 1\nspk1 utt1 2\nspk2 utt3 3\nspk1 utt2 4\n"
    assert aligned(tmp_path, trials, in_order) == [1, 2, 3, 4]
    assert aligned(tmp_path, trials, "".join(sorted(in_order.splitlines(True)))) == [1, 2, 3, 4]
    others = "spk3 utt1 9\nspk2 utt2 9\nspk1 utt9 9\n"
    assert aligned(tmp_path, trials, others + in_order + others) == [1, 2, 3, 4]
    assert aligned(tmp_path, trials, "spk2 utt3 3\nspk1 utt1 2\nspk1 utt1 2\n") == [None, 2, 3, None]
    assert aligned(tmp_path, trials, others) == [None] * 4
    with pytest.raises(UserError, match="'spk1 utt1' has two different scores"):
        aligned(tmp_path, trials, in_order + "spk1 utt1 2.5\n")


def test_a_trial_that_is_listed_twice_has_its_score_twice(tmp_path):
    (tmp_path / "trials").write_text("a b target\nc b nontarget\na b target\n")
    assert aligned(tmp_path, read_trials(tmp_path / "trials"), "a b 1\nc b 2\n") == [1, 2, 1]
