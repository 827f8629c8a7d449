"""Audio of any kind becomes mono at the wanted rate; what cannot is told with the file's name."""

import logging
import struct

import numpy as np
import pytest
import soundfile
from scipy import signal

from xvkd.errors import UserError
from xvkd.features import audio
from xvkd.features.audio import duration, read_audio
from xvkd.features.resampling import resample_poly


def sine(hertz, rate, seconds=1.0, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def frequency_and_level(samples, rate):
    """Hz of the strongest component, and root mean square, of the middle half (no edges)."""
    inner = samples[len(samples) // 4 : -len(samples) // 4].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner))))
    return np.argmax(spectrum) * rate / len(inner), np.sqrt(np.mean(inner**2))


def test_samples_have_the_range_of_16_bit_integers(tmp_path):
    written = np.array([0, 1, -1, 32767, -32768, 1234], np.int16)
    soundfile.write(tmp_path / "a.wav", written, 16000)
    read = read_audio(tmp_path / "a.wav", 16000)
    assert read.dtype == np.float32 and read.tolist() == written.tolist()


def test_channels_are_averaged(tmp_path):
    channels = np.array([[1000, 3000], [-500, 500], [7, 8]], np.int16)
    soundfile.write(tmp_path / "a.wav", channels, 16000)
    assert read_audio(tmp_path / "a.wav", 16000).tolist() == [2000, 0, 7.5]


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_resampling_keeps_frequency_level_and_length(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", sine(1000, rate), rate, subtype="FLOAT")
    read = read_audio(tmp_path / "a.wav", 16000)
    assert read.dtype == np.float32 and abs(len(read) - 16000) <= 1
    hertz, level = frequency_and_level(read, 16000)
    assert hertz == pytest.approx(1000, abs=2)
    assert level == pytest.approx(0.5 * 32768 / np.sqrt(2), rel=0.01)


def test_what_a_rate_cannot_hold_does_not_fold_back(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(10000, 44100), 44100, subtype="FLOAT")
    _, level = frequency_and_level(read_audio(tmp_path / "a.wav", 16000), 16000)
    assert level < 0.01 * 0.5 * 32768


def test_resampling_is_said_once_a_rate(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(audio, "_resampled_once", set())
    for name, rate in [("a", 8000), ("b", 8000), ("c", 16000), ("d", 48000)]:
        soundfile.write(tmp_path / f"{name}.wav", sine(100, rate, 0.1), rate)
    with caplog.at_level(logging.INFO):
        for name in "abcd":
            read_audio(tmp_path / f"{name}.wav", 16000)
    assert [message.split(" (")[0] for message in caplog.messages] == [
        "resampling from 8000 to 16000 Hz", "resampling from 48000 to 16000 Hz",
    ]  # fmt: skip


@pytest.mark.parametrize(("suffix", "error"), [("wav", 0.001), ("flac", 0.001), ("ogg", 0.05), ("mp3", 0.05)])
def test_formats(tmp_path, suffix, error):
    """A tone through each format; those that lose something still keep frequency, level and length."""
    path = tmp_path / f"a b.{suffix}"
    soundfile.write(path, np.column_stack([sine(500, 16000)] * 2), 16000)
    assert duration(path) == (1.0, 16000, 2)
    read = read_audio(path, 16000)
    hertz, level = frequency_and_level(read, 16000)
    assert len(read) == 16000
    assert hertz == pytest.approx(500, abs=2) and level == pytest.approx(0.5 * 32768 / np.sqrt(2), rel=error)


def empty(path):
    path.write_bytes(b"")


def no_samples(path):
    soundfile.write(path, np.zeros(0), 16000)


def text(path):
    path.write_text("a wav.scp by mistake\n" * 50)


def truncated_wav(path):
    soundfile.write(path, sine(500, 16000), 16000)
    path.write_bytes(path.read_bytes()[:20000])


def only_a_header(path):
    soundfile.write(path, sine(500, 16000), 16000)
    path.write_bytes(path.read_bytes()[:44])


def truncated_flac(path):
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 16000), 16000, format="FLAC")
    path.write_bytes(path.read_bytes()[:10000])


def not_finite(path):
    samples = sine(500, 16000)
    samples[777] = np.nan
    soundfile.write(path, samples, 16000, subtype="FLOAT")


def a_folder(path):
    path.mkdir()


def nothing(path):
    pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nothing, "cannot be read as audio"), (empty, "cannot be read as audio"), (a_folder, "cannot be read as audio"),
        (no_samples, "holds no samples"), (text, "cannot be read as audio"), (only_a_header, "truncated|no samples"),
        (truncated_wav, r"truncated \(19956 of 32000 bytes"), (truncated_flac, "cannot be read as audio"),
        (not_finite, "not finite"),
    ],
)  # fmt: skip
def test_what_is_no_sound_recording_is_told_with_its_name(tmp_path, make, message):
    path = tmp_path / "it's bad.wav"
    make(path)
    with pytest.raises(UserError, match=rf"it's bad\.wav: .*({message}).*; replace or remove it"):
        read_audio(path, 16000)


@pytest.mark.parametrize("make", [nothing, empty, no_samples, text, truncated_wav])
def test_duration_finds_what_a_header_tells(tmp_path, make):
    make(tmp_path / "bad.wav")
    with pytest.raises(UserError, match=r"bad\.wav: .*replace or remove it"):
        duration(tmp_path / "bad.wav")


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_written_to_a_pipe_is_whole(tmp_path, size):
    """Its header was written before its length was known."""
    soundfile.write(tmp_path / "a.wav", sine(500, 16000), 16000)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    data[40:44] = struct.pack("<I", size)
    (tmp_path / "a.wav").write_bytes(data)
    assert len(read_audio(tmp_path / "a.wav", 16000)) == 16000
    assert duration(tmp_path / "a.wav") == (1.0, 16000, 1)


@pytest.mark.parametrize("rates", [(44100, 16000), (48000, 16000), (8000, 16000), (11025, 16000), (16000, 44100)])
def test_resampling_is_scipys(rates):
    """Whose filter it is, at every length."""
    common = np.gcd(*rates)
    up, down = int(rates[1] // common), int(rates[0] // common)
    for length in (1, 2, 7, 441, 5000):
        samples = np.random.default_rng(length).standard_normal(length).astype(np.float32)
        ours, theirs = resample_poly(samples, up, down), signal.resample_poly(samples, up, down)
        assert ours.dtype == np.float32 and ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=2e-6)
