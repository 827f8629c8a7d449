"""select_voiced_frames.py as users run it, alone and at the end of Kaldi's chain of programs."""

import kaldiio
import numpy as np
import pytest
from backend_files import command
from shell import ROOT, run


def test_chosen_frames_are_kaldis(oracle, tmp_path):
    feats = oracle / "feats"
    done = command(
        "select_voiced_frames.py", f"ark:{feats}/mfcc_cmn.ark", f"ark:{feats}/vad.ark", f"ark:{tmp_path}/x.ark"
    )
    assert (tmp_path / "x.ark").read_bytes() == (feats / "mfcc_cmn_voiced.ark").read_bytes()
    assert "skipped: 'x1-zeros' has no voiced frame" in done.stderr
    assert "voiced frames of 7 utterances, skipped 1" in done.stderr


def test_the_whole_chain_through_pipes_is_kaldis(golden, tmp_path):
    """From the waveform, with our own VAD, each program one link."""
    folder = golden / "features"
    (tmp_path / "wav.scp").write_text("".join(f"{name} {folder}/{name}.wav\n" for name in ("s2-u1", "x2-short")))
    chain = f"""set -euo pipefail
    pyscripts/compute_feats.py --config conf/features/mfcc.yaml --compress=false scp:{tmp_path}/wav.scp ark:- |
      tee {tmp_path}/mfcc.ark |
      pyscripts/apply_cmvn_sliding.py --norm-vars=false --center=true --cmn-window=300 ark:- ark:- |
      pyscripts/select_voiced_frames.py --allow-pipes ark:- \\
        "ark:pyscripts/compute_vad.py --config conf/features/vad.yaml ark:{tmp_path}/mfcc.ark ark:- |" ark,t:-"""
    (tmp_path / "chain.sh").write_text(chain)
    done = run(["bash", tmp_path / "chain.sh"], PYTHONPATH=str(ROOT / "pyscripts"))
    assert done.returncode == 0, done.stderr
    (tmp_path / "voiced.txt").write_text(done.stdout)
    ours = dict(kaldiio.load_ark(str(tmp_path / "voiced.txt")))
    for key, kaldis in kaldiio.load_ark(str(folder / "mfcc_cmn_voiced.ark")):
        np.testing.assert_allclose(ours[key][::8], kaldis, rtol=0, atol=6e-3, err_msg=key)


FEATURES = "a  [\n 1 2 \n 3 4 \n 5 6 ]\nb  [\n 7 8 ]\n"


@pytest.mark.parametrize(
    ("features", "vad", "reason"),
    [
        (FEATURES, "a  [ 1 0 1 ]\n", "'b' has no entry in"),
        (FEATURES, "b  [ 0 ]\na  [ 1 0 1 ]\n", "'b' has no voiced frame"),
        (FEATURES, "b  [ 1 1 ]\na  [ 1 0 1 ]\n", "'b' has 1 frames, and in"),
        (FEATURES, "b  [ ]\na  [ 1 0 1 ]\n", "'b' has 1 frames, and in"),
        ("b  [ ]\n" + FEATURES.partition("b")[0], "b  [ ]\na  [ 1 0 1 ]\n", "'b' has no frames"),
    ],
)
def test_what_kaldi_skips_is_skipped(tmp_path, features, vad, reason):
    (tmp_path / "x.ark").write_text(features)
    (tmp_path / "vad.ark").write_text(vad)
    done = command("select_voiced_frames.py", f"ark:{tmp_path}/x.ark", f"ark:{tmp_path}/vad.ark", "ark,t:-")
    assert done.stdout == "a  [\n  1 2 \n  5 6 ]\n"
    assert f"skipped: {reason}" in done.stderr and "voiced frames of 1 utterances, skipped 1" in done.stderr


@pytest.mark.parametrize(
    ("features", "vad", "message"),
    [
        ("", "a  [ 1 ]\n", "no utterance has voiced frames in"),
        (FEATURES, "", "no utterance has voiced frames in"),
        (FEATURES, "a  [ 0 0 0 ]\n", r"x.ark: no utterance has voiced frames in"),
        (FEATURES, "a  [ 1 0.5 1 ]\n", "vad.ark: 'a': decisions other than 0 and 1"),
        (FEATURES, "a  [\n 1 0 1 ]\n", "vad.ark: 'a' is a matrix"),
        ("a  [ 1 2 3 ]\n", "a  [ 1 1 1 ]\n", "x.ark: 'a' is a vector"),
        (FEATURES.replace("5", "inf"), "a  [ 1 0 1 ]\n", "x.ark: key 'a' at offset 2: NaN or infinity"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(tmp_path, features, vad, message):
    (tmp_path / "x.ark").write_text(features)
    (tmp_path / "vad.ark").write_text(vad)
    done = command(
        "select_voiced_frames.py", f"ark:{tmp_path}/x.ark", f"ark:{tmp_path}/vad.ark", f"ark:{tmp_path}/y", status=1
    )
    assert message in done.stderr and not (tmp_path / "y").exists()


def test_the_help_says_whose_work_it_does():
    said = command("select_voiced_frames.py", "--help").stdout
    assert "Kaldi's select-voiced-frames" in said and "Unlike" in said
