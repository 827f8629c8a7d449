"""m4a, mp4 and aac: as long as their containers tell, decoded by ffmpeg or PyAV, read everywhere; damage is told."""

import shutil
import struct
import sys

import numpy as np
import pytest
from corpus_files import write_manifests
from voxceleb_files import write_m4a

from xvkd.corpora.corpus_set import file_recording
from xvkd.deployment.recordings import read_recording
from xvkd.errors import UserError
from xvkd.features import decoding
from xvkd.features.audio import duration, read_audio
from xvkd.features.cuts import load_cut, utterance_cuts
from xvkd.features.recordings import Recordings
from xvkd.kaldi.specifiers import rspecifier

av = pytest.importorskip("av", reason="PyAV writes the files of these tests: pip install av")
RATE = 16000


def tone(seconds, rate=RATE):
    return 0.3 * np.sin(2 * np.pi * 500 * np.arange(round(seconds * rate)) / rate)


@pytest.fixture(params=["m4a", "mp4", "aac"])
def encoded(tmp_path, request):
    path = tmp_path / f"it's a.{request.param.upper()}"
    write_m4a(path.with_suffix(f".{request.param}"), tone(1.5))
    return path.with_suffix(f".{request.param}").rename(path)


@pytest.fixture(params=["ffmpeg", "pyav"])
def decoder(request, monkeypatch):
    """One of the two programs, the other one out of reach."""
    if request.param == "pyav":
        monkeypatch.setattr(decoding.shutil, "which", lambda _: None)
    elif shutil.which("ffmpeg") is None:
        pytest.skip("there is no ffmpeg on the PATH")
    else:
        monkeypatch.setitem(sys.modules, "av", None)


def test_what_is_decoded_is_what_went_in(encoded, decoder):
    samples, rate = decoding.decode(encoded)
    assert rate == RATE and samples.dtype == np.int16
    # The encoder delays by a frame, and fills the last one.
    assert 0 <= len(samples) - 1.5 * RATE <= 3 * decoding.FRAME
    middle = samples[4000:20000] / 32768
    assert np.std(middle) == pytest.approx(0.3 / np.sqrt(2), rel=0.02)
    assert np.argmax(np.abs(np.fft.rfft(middle))) * RATE / len(middle) == pytest.approx(500, abs=2)


def test_length_is_told_without_decoding(encoded, decoder, monkeypatch):
    decoded = len(decoding.decode(encoded)[0])
    monkeypatch.setattr(decoding, "_decoded", None)
    assert decoding.length(encoded) == (decoded, RATE)
    assert duration(encoded) == (decoded / RATE, RATE, 1)


def test_other_rates_and_channels(tmp_path, decoder):
    with av.open(str(tmp_path / "a.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="stereo")
        both = np.int16(32767 * np.stack([tone(1, 44100), np.zeros(44100)], axis=1))
        frame = av.AudioFrame.from_ndarray(both.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = 44100
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    assert duration(tmp_path / "a.m4a")[1:] == (44100, 1)
    samples = read_audio(tmp_path / "a.m4a", RATE)
    assert len(samples) == pytest.approx(RATE, abs=2000)
    assert np.std(samples[4000:12000]) == pytest.approx(32768 * 0.15 / np.sqrt(2), rel=0.03)


def test_every_way_of_reading_reads_the_same(tmp_path, encoded, decoder):
    """Features from wav.scp, without a pipe; Lhotse's cuts, of which copies are made; the verifier."""
    expected = read_audio(encoded, RATE)
    (tmp_path / "wav.scp").write_text(f"a {encoded}\n")
    [(_, samples)] = Recordings(rspecifier(f"scp:{tmp_path}/wav.scp"), None, (1, 1), False).utterances(RATE)
    np.testing.assert_array_equal(samples, expected)
    np.testing.assert_array_equal(np.float32(32768) * read_recording(encoded, RATE), expected)
    write_manifests(tmp_path, {"a-1": ("a", encoded)})
    [cut] = utterance_cuts(tmp_path)
    np.testing.assert_allclose(load_cut(cut, RATE), expected, atol=0.01)
    part = load_cut(cut.truncate(offset=0.5, duration=0.25), RATE)
    np.testing.assert_allclose(part, expected[8000:12000], atol=0.01)


def test_without_a_decoder_it_is_said_what_to_install(encoded, monkeypatch):
    monkeypatch.setattr(decoding.shutil, "which", lambda _: None)
    monkeypatch.setitem(sys.modules, "av", None)
    assert duration(encoded)[1] == RATE
    with pytest.raises(UserError, match=r"it's a.*: nothing here decodes this format: install ffmpeg, or PyAV with"):
        read_audio(encoded, RATE)


def test_a_corpus_that_cannot_be_decoded_is_told_when_it_is_described(encoded, monkeypatch):
    monkeypatch.setattr(decoding, "_decoder_is_there", lambda: False)
    with pytest.raises(UserError, match=r"it's a.*: nothing here decodes this format: install ffmpeg"):
        file_recording("a", encoded)


def nothing(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def text(path):
    path.write_text("a wav.scp by mistake\n" * 50)


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_sound(path):
    path.write_bytes(path.read_bytes().replace(b"soun", b"vide"))


def no_rate(path):
    data = path.read_bytes()
    place = data.index(b"mdhd") + 4
    data = data[:place] + data[place : place + 12] + struct.pack(">I", 0) + data[place + 16 :]
    path.write_bytes(data)


def short_boxes(path):
    data = path.read_bytes()
    place = data.index(b"moov") - 4
    path.write_bytes(data[:place] + struct.pack(">I4s", 8, b"moov"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (nothing, "No such file"), (empty, "neither MPEG-4 nor AAC"), (text, "neither MPEG-4 nor AAC"),
        (half, "truncated"), (no_sound, "without sound"), (no_rate, "damaged"), (short_boxes, "damaged"),
    ],
)  # fmt: skip
def test_damage_is_told_with_the_name_and_without_decoding(tmp_path, spoil, message, monkeypatch):
    path = tmp_path / "it's bad.m4a"
    write_m4a(path, tone(0.5))
    spoil(path)
    monkeypatch.setattr(decoding, "_decoded", None)
    with pytest.raises(UserError, match=rf"it's bad\.m4a: .*{message}.*; replace or remove it"):
        duration(path)


def test_sound_that_is_damaged_inside_is_told(tmp_path, decoder):
    """The container tells more than there is: a copy in which most of the frames are another format's."""
    path = tmp_path / "bad.m4a"
    write_m4a(path, tone(3))
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"bad\.m4a: (truncated|ffmpeg cannot|PyAV cannot).*; replace or remove it"):
        read_audio(path, RATE)
