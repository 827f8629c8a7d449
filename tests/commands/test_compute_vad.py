"""compute_vad.py as users run it: Kaldi's compute-vad byte for byte, and the HMM beside it."""

import sys

import kaldiio
import numpy as np
import pytest
from backend_files import command
from shell import ROOT, run
from signals import features, noise

ENERGY, HMM = (["--config", ROOT / "conf" / "features" / f"{name}.yaml"] for name in ("vad", "vad_hmm"))
# Options as Kaldi's users write them.
KALDIS = [
    "--vad-energy-threshold=5.5", "--vad-energy-mean-scale=0.5", "--vad-frames-context=2",
    "--vad-proportion-threshold=0.12",
]  # fmt: skip
LOUD, FAINT = "a  [\n 20 1 \n 20 1 \n 1 1 \n 1 1 \n 1 1 ]\n", "b  [\n 1 1 \n 1 1 ]\n"


@pytest.fixture
def write(tmp_path):
    """Writes a table of features; returns its specifier."""

    def write_text(text):
        (tmp_path / "feats.txt").write_text(text)
        return f"ark:{tmp_path}/feats.txt"

    return write_text


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Features of six recordings: a second of a vowel between two of noise, and noise alone; an scp."""
    folder, matrices = tmp_path_factory.mktemp("recordings"), {}
    for number in range(6):
        samples = noise(5, 100, number)
        if number != 3:
            beat = 1 + np.sin(2 * np.pi * 4 * np.arange(16000) / 16000)
            samples[32000:48000] += 3000 * beat * np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
        matrices[f"s{number}"] = features(samples)
    kaldiio.save_ark(str(folder / "feats.ark"), matrices, scp=str(folder / "feats.scp"))
    return folder / "feats.scp"


def read(path):
    return dict(kaldiio.load_ark(str(path)))


@pytest.mark.parametrize("options", [ENERGY, KALDIS, [*KALDIS, "--kind=energy"]])
def test_decisions_are_kaldis_byte_for_byte(oracle, tmp_path, options):
    done = command("compute_vad.py", *options, f"ark:{oracle}/feats/mfcc.ark", f"ark:{tmp_path}/vad.ark")
    assert (tmp_path / "vad.ark").read_bytes() == (oracle / "feats" / "vad.ark").read_bytes()
    assert "warning: 'x1-zeros' has no voiced frame" in done.stderr
    assert "8 utterances, 1 of them without a voiced frame; left out 0 without frames" in done.stderr


def test_specifiers_and_options_as_kaldi_takes_them(write):
    done = command("compute_vad.py", *ENERGY, "--vad-frames-context=0", write(LOUD), "ark,t:-")
    assert done.stdout == "a  [ 1 1 0 0 0 ]\n"  # the option, not the file
    done = command("compute_vad.py", *ENERGY, write(LOUD), "ark,t:-")
    assert done.stdout == "a  [ 1 1 1 1 0 ]\n"


def test_options_may_stand_between_and_behind(write):
    done = command("compute_vad.py", write(LOUD), "--config", ENERGY[1], "ark,t:-", "--vad-frames-context", "0")
    assert done.stdout == "a  [ 1 1 0 0 0 ]\n"


def test_missing_option_is_named():
    done = command("compute_vad.py", *KALDIS[:-1], "ark:x", "ark:-", status=1)
    assert "--vad-proportion-threshold: not given; give it, or a --config that has it" in done.stderr


def test_unvoiced_utterances_are_kept_or_left_out(write):
    both = write(LOUD + FAINT)
    assert "b  [ 0 0 ]" in command("compute_vad.py", *ENERGY, both, "ark,t:-").stdout
    assert "b" not in command("compute_vad.py", *ENERGY, "--omit-unvoiced-utts=true", both, "ark,t:-").stdout
    assert "b  [ 1 1 ]" in command("compute_vad.py", *ENERGY, "--whole-unvoiced-utts", both, "ark,t:-").stdout


def test_utterances_without_frames_are_left_out(write):
    done = command("compute_vad.py", *ENERGY, write("c  [ ]\n" + LOUD), "ark,t:-")
    assert done.stdout.startswith("a ") and "skipped: 'c' has no frames" in done.stderr
    assert "1 utterances, 0 of them without a voiced frame; left out 1 without frames" in done.stderr


def test_no_voice_at_all_is_written_and_an_error_as_in_kaldi(write):
    done = command("compute_vad.py", *ENERGY, write(FAINT), "ark,t:-", status=1)
    assert done.stdout == "b  [ 0 0 ]\n" and "no utterance has a voiced frame" in done.stderr


@pytest.mark.parametrize("options", [ENERGY, HMM])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no utterance with frames (0 without)"),
        ("a  [ ]\n", "no utterance with frames (1 without)"),
        (LOUD + "b  [ 1 2 3 ]\n", "'b' is a vector; matrices of features are expected"),
        (LOUD + "b  [\n 1 nan ]\n", "key 'b' at offset 40: NaN or infinity"),
        (LOUD + "b  [\n 1 inf ]\n", "key 'b' at offset 40: NaN or infinity"),
        (LOUD + "b  [\n 1 2 3 ]\n", "key 'b' has 3 columns, 'a' has 2"),
        (LOUD + LOUD, "the key 'a' is written twice"),
        (LOUD[:-8], "feats.txt: key 'a' at offset"),
    ],
)
def test_bad_input_is_told_and_nothing_is_left(write, tmp_path, options, text, message):
    folder = tmp_path / "out"
    done = command("compute_vad.py", *options, write(text), f"ark,scp:{folder}/v.ark,{folder}/v.scp", status=1)
    assert message in done.stderr and len(done.stderr.strip().splitlines()) <= 2 and "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []


def test_hmm_finds_what_stands_out_of_noise(recordings, tmp_path):
    done = command("compute_vad.py", *HMM, f"scp:{recordings}", f"ark,scp:{tmp_path}/v.ark,{tmp_path}/v.scp")
    found = read(tmp_path / "v.ark")
    assert "warning: 's3' has no voiced frame" in done.stderr
    for key, voiced in found.items():
        inside = voiced[205:290].mean()
        assert voiced.dtype == np.float32 and not voiced[:190].any() and not voiced[310:].any()
        assert (inside == 0) if key == "s3" else (inside > 0.8)


def test_parts_together_are_the_whole(recordings, tmp_path):
    for job in "123":
        command("compute_vad.py", *HMM, "--part", f"{job}/3", f"scp:{recordings}", f"ark:{tmp_path}/{job}.ark")
    command("compute_vad.py", *HMM, f"scp:{recordings}", f"ark:{tmp_path}/whole.ark")
    parts = b"".join((tmp_path / f"{job}.ark").read_bytes() for job in "123")
    assert parts == (tmp_path / "whole.ark").read_bytes()
    # More jobs than utterances: some have nothing to do.
    command("compute_vad.py", *HMM, "--part", "1/9", f"scp:{recordings}", f"ark:{tmp_path}/none.ark")
    assert (tmp_path / "none.ark").read_bytes() == b""


def test_parts_of_an_archive_are_refused(write):
    done = command("compute_vad.py", *ENERGY, "--part", "1/2", write(LOUD), "ark:-", status=1)
    assert "--part needs a script, scp:FILE" in done.stderr


def test_posteriors_with_and_without_decisions(recordings, tmp_path):
    posteriors = f"ark,scp:{tmp_path}/p.ark,{tmp_path}/p.scp"
    command("compute_vad.py", *HMM, "--vad-posteriors", posteriors, f"scp:{recordings}", f"ark:{tmp_path}/v.ark")
    both, decisions = read(tmp_path / "p.ark"), read(tmp_path / "v.ark")
    command("compute_vad.py", *HMM, f"scp:{recordings}", "--vad-posteriors", f"ark:{tmp_path}/q.ark")
    assert (tmp_path / "q.ark").read_bytes() == (tmp_path / "p.ark").read_bytes()
    for key, chances in both.items():
        assert len(chances) == len(decisions[key]) and chances.min() >= 0 and chances.max() <= 1
        assert np.mean((chances > 0.5) == decisions[key]) > 0.97


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([*ENERGY, "--vad-posteriors", "ark:-", "ark:x"], "--vad-posteriors: only the HMM has them"),
        ([*HMM, "ark:x"], "nothing to write: name an archive for the decisions, or give --vad-posteriors"),
        ([*HMM, "--min-speech-frames=0", "ark:x", "ark:-"], "min_speech_frames: 0 is impossible"),
        ([*HMM, "--max-silence-std=5", "ark:x", "ark:-"], "silence is the steadier of the two"),
    ],
)
def test_impossible_options_are_told(options, message):
    assert message in command("compute_vad.py", *options, status=1).stderr


def test_configuration_of_no_kind_is_told(tmp_path):
    (tmp_path / "vad.yaml").write_text("vad_energy_threshold: 5.5\n")
    done = command("compute_vad.py", "--config", tmp_path / "vad.yaml", "ark:x", "ark:-", status=1)
    assert f"{tmp_path}/vad.yaml: kind: 'None' is no kind of VAD (there are: energy, hmm)" in done.stderr


def test_help_is_that_of_the_kind():
    assert "--vad-energy-threshold" in command("compute_vad.py", "--help").stdout
    done = command("compute_vad.py", *HMM, "--help")
    assert "--min-silence-frames" in done.stdout and "Kaldi's compute-vad" in done.stdout


def test_k2_that_is_not_there_is_told_with_the_remedy(recordings, tmp_path):
    """In one sentence, with nothing written."""
    (tmp_path / "k2.py").write_text("raise ImportError('No module named k2')")
    path = f"{ROOT / 'pyscripts'}:{tmp_path}"
    options = [*HMM, "--vad-backend", "k2", f"scp:{recordings}", f"ark:{tmp_path}/v.ark"]
    done = run([sys.executable, ROOT / "pyscripts" / "compute_vad.py", *options], PYTHONPATH=path)
    assert done.returncode == 1 and not (tmp_path / "v.ark").exists()
    assert "k2 cannot be imported (No module named k2); install a k2 that is built for your torch" in done.stderr


def test_both_backends_write_the_same(recordings, tmp_path):
    pytest.importorskip("k2", reason="needs k2 (tests/run_k2.sh has it)", exc_type=ImportError)
    for backend in ("viterbi", "k2"):
        output = ["--vad-posteriors", f"ark:{tmp_path}/{backend}.p", f"scp:{recordings}", f"ark:{tmp_path}/{backend}"]
        command("compute_vad.py", *HMM, "--vad-backend", backend, *output)
    assert (tmp_path / "k2").read_bytes() == (tmp_path / "viterbi").read_bytes()
    ours, theirs = read(tmp_path / "viterbi.p"), read(tmp_path / "k2.p")
    for key, chances in ours.items():
        np.testing.assert_allclose(chances, theirs[key], rtol=0, atol=1e-6)
