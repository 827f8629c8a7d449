"""apply_cmvn_sliding.py as users run it: Kaldi's normalised features, or one clear sentence."""

import kaldiio
import numpy as np
import pytest
from backend_files import command

CENTRED = ("--norm-vars=false", "--center=true", "--cmn-window=300")


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("mfcc_cmn", CENTRED),
        ("mfcc_cmn", ("--config=conf/inputs/mfcc_cmn_voiced.yaml",)),
        ("mfcc_cmvn_var", ("--norm-vars", "--center", "--cmn-window=300")),
        ("mfcc_cmn_causal", ("--norm-vars=false", "--center=false", "--cmn-window=300")),
        ("mfcc_cmn_causal", ("--norm-vars=false", "--center=false", "--cmn-window=300", "--min-cmn-window=100")),
    ],
)
def test_normalised_features_are_kaldis(oracle, tmp_path, file, options):
    command("apply_cmvn_sliding.py", *options, f"ark:{oracle}/feats/mfcc.ark", f"ark:{tmp_path}/x.ark")
    ours = dict(kaldiio.load_ark(str(tmp_path / "x.ark")))
    for key, kaldis in kaldiio.load_ark(str(oracle / "feats" / f"{file}.ark")):
        np.testing.assert_allclose(ours[key], kaldis, rtol=0, atol=1e-4, err_msg=key)


def test_the_least_window_of_the_beginning_can_be_given(tmp_path):
    """Causal: the first frames are normalised by the first min-cmn-window ones, 100 unless told otherwise."""
    (tmp_path / "x.ark").write_text("a  [\n" + "".join(f"  {frame} \n" for frame in range(150)) + "]\n")
    for options, first in [((), -49.5), (("--min-cmn-window=10",), -4.5)]:
        flags = ("--norm-vars=false", "--center=false", "--cmn-window=300", *options)
        command("apply_cmvn_sliding.py", *flags, f"ark:{tmp_path}/x.ark", f"ark:{tmp_path}/y.ark")
        assert dict(kaldiio.load_ark(str(tmp_path / "y.ark")))["a"][0, 0] == first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "x.ark: no utterance with frames (0 without)"),
        ("a  [ ]\n", "x.ark: no utterance with frames (1 without)"),
        ("a  [ 1 2 ]\n", "x.ark: 'a' is a vector"),
        ("a  [\n 1 nan ]\n", "x.ark: key 'a' at offset 2: NaN or infinity"),
        ("a  [\n 1 2 ]\nb  [\n 1 2 3 ]\n", "x.ark: key 'b' has 3 columns, 'a' has 2"),
        ("a  [\n 1 2 ]\nb  [\n 1 2", "x.ark: key 'b' at offset 14: truncated"),
        ("a  [\n 1 2 ]\na  [\n 1 2 ]\n", "'a' is written twice"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(tmp_path, content, message):
    (tmp_path / "x.ark").write_text(content)
    done = command("apply_cmvn_sliding.py", *CENTRED, f"ark:{tmp_path}/x.ark", f"ark:{tmp_path}/y.ark", status=1)
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.ark"]


def test_what_has_no_frames_is_skipped(tmp_path):
    (tmp_path / "x.ark").write_text("a  [ ]\nb  [\n 1 2 \n 3 5 ]\n")
    done = command("apply_cmvn_sliding.py", *CENTRED, f"ark:{tmp_path}/x.ark", "ark,t:-")
    assert done.stdout == "b  [\n  -1 -1.5 \n  1 1.5 ]\n"
    assert "skipped: 'a' has no frames" in done.stderr and "normalised 1 utterances, skipped 1" in done.stderr


def test_options_are_asked_for_and_the_help_says_what_differs(tmp_path):
    done = command("apply_cmvn_sliding.py", "--center", "--norm-vars=true", "ark:-", "ark:-", status=1)
    assert "--cmn-window: not given" in done.stderr
    said = command("apply_cmvn_sliding.py", "--help").stdout
    assert "Kaldi's apply-cmvn-sliding" in said and "Unlike" in said
