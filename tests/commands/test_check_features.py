"""check_features.py: features and VAD that came with a data directory are held against what networks read."""

import sys

import kaldiio
import numpy as np
import pytest

import check_features
from xvkd.errors import UserError


def save(folder, name, arrays):
    (folder / "given").mkdir(parents=True, exist_ok=True)
    kaldiio.save_ark(str(folder / f"{name}.ark"), arrays, scp=str(folder / "given" / f"{name}.scp"))


@pytest.fixture
def check(conf, tmp_path, monkeypatch):
    """Runs the command; in this process, because its imports take seconds."""

    def run(**networks):
        networks = networks or {"teacher": "teachers/tdnn_tiny", "student": "students/tdnn16"}
        words = [word for key, name in networks.items() for word in (f"--{key}", f"{conf}/{name}.yaml")]
        monkeypatch.setattr(sys, "argv", ["check_features.py", *words, str(tmp_path)])
        check_features.main()

    return run


def test_features_that_fit_are_fine(tmp_path, check):
    save(tmp_path, "feats", {"a": np.zeros((0, 0), np.float32), "b": np.ones((20, 30), np.float32)})
    check()
    save(tmp_path, "vad", {"a": np.zeros(0, np.float32), "b": np.ones(18, np.float32)})
    check()


def test_another_number_of_coefficients_is_told_with_who_asks_for_what(tmp_path, check):
    save(tmp_path, "feats", {"a": np.ones((20, 23), np.float32)})
    for networks, message in (
        ({}, r"feats.scp: 'a' has 23 coefficients a frame; .*teachers/tdnn_tiny.yaml reads .*conf/features/mfcc.yaml, "
             r"which says 30: let it name a configuration of these features \(docs/your_data.md\), or take feats.scp"),
        ({"student": "students/tdnn16"}, "students/tdnn16.yaml reads .*conf/features/mfcc.yaml, which says 30"),
        ({"teacher-input": "inputs/mfcc_cmn_voiced"}, "the teacher reads .*inputs/mfcc_cmn_voiced.yaml, which says 30"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            check(**networks)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("feats", np.ones(30), "feats.scp: 'a' is a vector; features are matrices, a row a frame"),
        ("feats", np.zeros((0, 30)), "feats.scp: no utterance has a frame"),
        ("vad", np.ones(24), r"vad.scp: 'a': expected 20 marks of 0 or 1, one a frame, got the shape \(24,\)"),
        ("vad", np.full(20, 2), "vad.scp: 'a': expected 20 marks of 0 or 1"),
        ("vad", np.ones((20, 1)), r"got the shape \(20, 1\)"),
    ],
)
def test_what_is_no_features_and_no_vad_is_told(tmp_path, check, name, array, message):
    save(tmp_path, "feats", {"a": np.ones((20, 30), np.float32)})
    save(tmp_path, name, {"a": array.astype(np.float32)})
    with pytest.raises(UserError, match=message):
        check()
