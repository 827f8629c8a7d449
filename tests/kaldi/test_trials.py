"""Trial lists, enrolment maps and score files."""

import numpy as np
import pytest

from xvkd.errors import UserError
from xvkd.kaldi.trials import read_enrolments, read_trials, write_scores

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
        (b"", "trials: no trials"),
        (b"\xff\xfe\x80 b target\n", "trials: not a text file"),
    ],
)
def test_malformed_lists_are_told_with_their_line(tmp_path, content, message):
    (tmp_path / "trials").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_trials(tmp_path / "trials")


def test_a_missing_list_is_told(tmp_path):
    with pytest.raises(UserError, match="trials: no such trial list"):
        read_trials(tmp_path / "trials")


def test_enrolments_have_their_utterances_in_order(tmp_path):
    (tmp_path / "enrol").write_text("spk1 u2 u1  u3\nspk2 u9\n")
    assert read_enrolments(tmp_path / "enrol") == {"spk1": ["u2", "u1", "u3"], "spk2": ["u9"]}
    (tmp_path / "enrol").write_text("spk1 u2\nspk2\n")
    with pytest.raises(UserError, match="enrol, line 2"):
        read_enrolments(tmp_path / "enrol")


def test_scores_keep_the_order_of_the_trials_and_six_digits(tmp_path, trials):
    write_scores(tmp_path / "new" / "scores", trials, np.array([1.0, -2.5, 1 / 3, 123456.7]))
    assert (tmp_path / "new" / "scores").read_text() == (
        "spk2 utt1 1\nspk1 utt1 -2.5\nspk2 utt3 0.333333\nspk1 utt2 123457\n"
    )


def test_scores_of_other_trials_leave_no_file(tmp_path, trials):
    with pytest.raises(ValueError):
        write_scores(tmp_path / "scores", trials, np.zeros(3))
    assert not (tmp_path / "scores").exists()
