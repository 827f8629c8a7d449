"""Recordings of every odd kind that users have, through compute_feats.py and compute_vad.py as stage 3 runs them."""

import kaldiio
import numpy as np
import pytest
import soundfile
from backend_files import command

RATE = 16000
HOUR = 3600


def speech_like(seconds, rate=RATE):
    """Bursts of noise with pauses between."""
    time = np.arange(round(seconds * rate)) / rate
    return 0.1 * np.random.default_rng(0).standard_normal(len(time)) * (np.sin(2 * np.pi * time) > 0)


def recorded(kind):
    """Samples and rate of a recording of a kind."""
    if kind == "stereo, 44.1 kHz":
        return np.stack([speech_like(2, 44100)] * 2, axis=1), 44100
    if kind == "8 kHz":
        return speech_like(2, 8000), 8000
    if kind == "clipped":
        return np.clip(100 * speech_like(2), -1, 1), RATE
    if kind == "an hour":
        return speech_like(HOUR), RATE
    return {"one sample": np.array([0.5]), "silence": np.zeros(2 * RATE)}[kind], RATE


@pytest.fixture
def run(tmp_path):
    """Both commands on one recording: the first that fails, or the last."""

    def run(kind):
        samples, rate = recorded(kind)
        soundfile.write(tmp_path / "a.wav", samples, rate, subtype="PCM_16")
        (tmp_path / "wav.scp").write_text(f"a {tmp_path}/a.wav\n")
        files = {name: f"ark,scp:{tmp_path}/{name}.ark,{tmp_path}/{name}.scp" for name in ("mfcc", "vad")}
        done = command(
            "compute_feats.py", "--config=conf/features/mfcc.yaml", f"scp:{tmp_path}/wav.scp", files["mfcc"],
            status=int(kind == "one sample"),
        )  # fmt: skip
        if done.returncode == 0:
            assert ("resampling from" in done.stderr) == ("kHz" in kind)
            vad = ("compute_vad.py", "--config=conf/features/vad.yaml", f"scp:{tmp_path}/mfcc.scp", files["vad"])
            done = command(*vad, status=int(kind == "silence"))
        return done

    return run


@pytest.mark.parametrize(
    ("kind", "seconds"), [("stereo, 44.1 kHz", 2), ("8 kHz", 2), ("clipped", 2), ("an hour", HOUR)]
)
def test_odd_recordings_are_used(run, tmp_path, kind, seconds):
    run(kind)
    features, voiced = (dict(kaldiio.load_ark(str(tmp_path / f"{name}.ark")))["a"] for name in ("mfcc", "vad"))
    assert features.shape == (100 * seconds, 30) and np.isfinite(features).all()
    assert 0.3 < voiced.mean() < 0.8


@pytest.mark.parametrize(
    ("kind", "message"),
    [("one sample", "'a' is too short for a single frame (1 samples)"), ("silence", "no utterance has a voiced frame")],
)
def test_what_has_nothing_to_hear_is_told(run, tmp_path, kind, message):
    assert message in run(kind).stderr
    assert (tmp_path / "mfcc.ark").exists() == (kind == "silence")
