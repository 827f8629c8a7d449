"""compute_feats.py as users run it: Kaldi's features, through files, pipes and segments, or one clear sentence."""

import gzip

import kaldiio
import numpy as np
import pytest
import soundfile
from backend_files import command

from xvkd.kaldi.archives import open_writer
from xvkd.kaldi.specifiers import wspecifier

# From Kaldi, in the median, of all but one in 1000, and at most: float64 is as far (docs/kaldi.md). The greatest are in
# bins near the floor, where each processor's order of float32 sums has its own: fbank80 had 0.0090 on one.
DISTANCES = {"mfcc": (2e-5, 6e-3, 6e-3), "fbank80": (4e-6, 3e-3, 0.02), "fbank80_default": (6e-6, 4e-3, 7.3e-3)}
EXTRA = {
    "mfcc": ["--config=conf/features/mfcc.yaml"],
    "fbank80": ["--config=conf/features/fbank80.yaml"],
    "fbank80_default": [
        "--kind=fbank", "--sample-frequency=16000", "--frame-length=25", "--frame-shift=10", "--num-mel-bins=80",
        "--num-ceps=13", "--low-freq=20", "--high-freq=0", "--cepstral-lifter=22", "--snip-edges", "--use-energy=false",
    ],
}  # fmt: skip


PLAIN = ("--config=conf/features/mfcc.yaml", "--compress=false")


def archive(path):
    return dict(kaldiio.load_ark(str(path)))


def script(folder, wavs):
    (folder / "wav.scp").write_text("".join(f"{wav.stem} {wav}\n" for wav in sorted(wavs)))
    return f"scp:{folder}/wav.scp"


@pytest.fixture(scope="module")
def plain(golden, tmp_path_factory):
    """A folder with the script of a recording of speech and one of 200 samples, and their MFCC."""
    folder = tmp_path_factory.mktemp("plain")
    wavs = script(folder, (golden / "features").glob("*.wav"))
    command("compute_feats.py", *PLAIN, wavs, f"ark:{folder}/mfcc.ark")
    return folder


@pytest.mark.parametrize("kind", DISTANCES)
def test_all_recordings_have_kaldis_features(oracle, tmp_path, kind):
    """Without a configuration too: then an utterance too short for a frame is an empty matrix, as Kaldi has it."""
    wavs = script(tmp_path, (oracle / "wav").glob("*.wav"))
    command("compute_feats.py", *EXTRA[kind], "--compress=false", wavs, f"ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp")
    ours, kaldis = dict(kaldiio.load_scp(str(tmp_path / "x.scp"))), archive(oracle / "feats" / f"{kind}.ark")
    assert list(ours) == sorted(path.stem for path in (oracle / "wav").glob("*.wav")) and kaldis.keys() <= ours.keys()
    distances = []
    for key, features in kaldis.items():
        assert ours[key].shape == features.shape, key
        distances.append(np.abs(ours[key] - features).ravel())
    found = np.quantile(np.concatenate(distances), [0.5, 0.999, 1])
    assert (found < DISTANCES[kind]).all(), found


def test_recordings_from_commands_and_features_to_one(plain, tmp_path):
    lines = [line.split() for line in (plain / "wav.scp").read_text().splitlines()]
    (tmp_path / "pipes.scp").write_text("".join(f"{key} cat {wav} |\n" for key, wav in lines))
    wavs, packed = f"scp:cat {tmp_path}/pipes.scp |", f"ark:| gzip -c > {tmp_path}/x.gz"
    command("compute_feats.py", "--allow-pipes", *PLAIN, wavs, packed)
    assert gzip.decompress((tmp_path / "x.gz").read_bytes()) == (plain / "mfcc.ark").read_bytes()
    refused = command("compute_feats.py", *PLAIN, f"scp:{tmp_path}/pipes.scp", f"ark:{tmp_path}/no.ark", status=1)
    assert "pipes.scp: key 's2-u1': commands" in refused.stderr and "--allow-pipes" in refused.stderr
    assert not (tmp_path / "no.ark").exists()


def test_the_configuration_compresses_as_kaldi(plain, tmp_path):
    """A part of the recordings; byte for byte what copy-feats --compress=true makes of their features."""
    output = f"ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp"
    command("compute_feats.py", "--config=conf/features/mfcc.yaml", "--part=1/2", f"scp:{plain}/wav.scp", output)
    with open_writer(wspecifier(f"ark:{tmp_path}/expected"), compress=True) as writer:
        writer.write("s2-u1", archive(plain / "mfcc.ark")["s2-u1"])
    assert (tmp_path / "x.ark").read_bytes() == (tmp_path / "expected").read_bytes()


def test_segments_have_the_features_of_their_samples(golden, tmp_path):
    """Those of a file that was cut by hand; what does not fit is skipped, counted and logged."""
    speech = golden / "features" / "s2-u1.wav"
    samples, rate = soundfile.read(speech, dtype="int16")
    soundfile.write(tmp_path / "cut.wav", samples[8000:24000], rate)
    (tmp_path / "wav.scp").write_text(f"cut {tmp_path}/cut.wav\nrec {speech}\n")
    lines = ["a rec 0.5 1.5", "b rec 99 100", "c nobody 0 1", "d rec 0 0.1", "e cut 0 -1"]
    (tmp_path / "segments").write_text("".join(f"{line}\n" for line in lines))
    segments = f"--segments={tmp_path}/segments"
    done = command("compute_feats.py", *PLAIN, segments, f"scp:{tmp_path}/wav.scp", f"ark:{tmp_path}/x.ark")
    ours = archive(tmp_path / "x.ark")
    assert list(ours) == ["a", "e"]
    np.testing.assert_array_equal(ours["a"], ours["e"])
    for what in ("'b': 99.0 to 100.0 s lies beyond", "'c': there is no recording 'nobody'", "'d': not longer than 0.1"):
        assert f"skipped: segment {what}" in done.stderr
    assert "features of 2 utterances" in done.stderr


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(79), "'a' is too short for a single frame (79 samples); remove it, or write an empty matrix"),
        (np.full(1600, 1e30), "key 'a': NaN or infinity"),
        (None, "wav.scp: no utterance could be used"),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(tmp_path, samples, message):
    if samples is not None:
        soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    (tmp_path / "wav.scp").write_text("" if samples is None else f"a {tmp_path}/a.wav\n")
    output = f"ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp"
    done = command("compute_feats.py", *PLAIN, f"scp:{tmp_path}/wav.scp", output, status=1)
    assert message in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"a.wav", "wav.scp"}


def test_options_are_asked_for_and_the_help_says_what_differs():
    done = command("compute_feats.py", *EXTRA["fbank80_default"][1:], "ark:-", "ark:-", status=1)
    assert "--kind: not given; give it, or a --config that has it" in done.stderr
    said = command("compute_feats.py", "--help").stdout
    for words in ("compute-mfcc-feats and compute-fbank-feats", "extract-segments", "Unlike", "--snip-edges"):
        assert words in said
