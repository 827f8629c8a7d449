"""Recordings and segments: the samples that Kaldi's programs would read, each recording opened once."""

import io
import struct
import sys

import numpy as np
import pytest
import soundfile

from xvkd.errors import UserError
from xvkd.features import recordings
from xvkd.features.recordings import Recordings, read_segments
from xvkd.kaldi.specifiers import rspecifier

RATE = 16000


def ramp(count):
    """Samples that tell their place."""
    return (np.arange(count) % 30000).astype(np.int16)


@pytest.fixture
def folder(tmp_path):
    """Two seconds mono, and one second of two channels; their wav.scp."""
    soundfile.write(tmp_path / "mono.wav", ramp(2 * RATE), RATE)
    soundfile.write(tmp_path / "two.flac", np.column_stack([ramp(RATE), -ramp(RATE)]), RATE)
    (tmp_path / "wav.scp").write_text(f"mono {tmp_path}/mono.wav\ntwo {tmp_path}/two.flac\n")
    return tmp_path


def read(folder, segments=None, specifier="scp", part=(1, 1), rate=RATE):
    if segments is not None:
        (folder / "segments").write_text(segments)
        segments = read_segments(folder / "segments")
    wavs = rspecifier(f"{specifier}:{folder}/wav.scp")
    return dict(Recordings(wavs, segments, part, False).utterances(rate))


def test_whole_recordings(folder):
    found = read(folder)
    assert found["mono"].tolist() == ramp(2 * RATE).tolist()
    assert found["two"].tolist() == [0] * RATE  # the channels' average
    assert list(read(folder, part=(2, 2))) == ["two"]
    assert len(read(folder, rate=8000)["mono"]) == RATE


@pytest.mark.parametrize(
    ("times", "first", "end"),
    [
        ("0.5 1.25", 8000, 20000), ("0 0.2", 0, 3200), ("1.5 -1", 24000, 32000),
        ("0.57 1.1", 9120, 17600),  # rounded down from the nearest doubles, as extract-segments does
        ("1.00001 1.99999", 16000, 31999),
        ("1.5 2.4999", 24000, 32000),  # up to half a second too late is cut
        ("1.5 2.5", None, None), ("2 2.3", None, None), ("3 -1", None, None),
        ("0.5 0.6", None, None), ("0.5 0.60007", 8000, 9601), ("1.91 -1", None, None),
    ],
)  # fmt: skip
def test_a_segment_has_the_samples_that_extract_segments_takes(folder, caplog, times, first, end):
    found = read(folder, f"x mono {times}\n")
    if first is None:
        assert found == {} and "skipped: segment 'x'" in caplog.text
    else:
        assert found["x"].tolist() == ramp(2 * RATE)[first:end].tolist()


def test_channels_of_segments(folder, caplog):
    found = read(folder, "a two 0.5 0.75 0\nb two 0.5 0.75 1\nc two 0.5 0.75\nd two 0.5 0.75 2\ne mono 0 1 0\n")
    assert found["a"].tolist() == ramp(RATE)[8000:12000].tolist() == (-found["b"]).tolist()
    assert not found["c"].any() and len(found["e"]) == RATE
    assert "d" not in found and "segment 'd': channel 2, counted from 0, of 2 in two" in caplog.text


def test_segments_of_nothing_are_skipped(folder, caplog):
    assert list(read(folder, "a who 0 1\nb mono 0 1\n")) == ["b"]
    assert "skipped: segment 'a': there is no recording 'who'" in caplog.text


@pytest.mark.parametrize(
    "line",
    ["a mono 0", "a mono 0 1 0 0", "a mono x 1", "a mono 0 nan", "a mono -1 1", "a mono 1 1", "a mono 2 1",
     "a mono 0 1 -1", "a mono 0 1 x", "a mono inf -1", "a mono 0 -2", "a"],
)  # fmt: skip
def test_malformed_lines_are_told(folder, line):
    with pytest.raises(UserError, match="segments: segment 'a': expected|segments, line 1"):
        read(folder, f"{line}\n")


def test_each_recording_is_opened_once_and_only_segments_are_read(folder, monkeypatch):
    """Segments that overlap, and come back to the beginning, have their own samples."""
    opened, longest = [], []
    really, really_read = recordings.open_audio, recordings.read_samples
    monkeypatch.setattr(recordings, "open_audio", lambda *args: opened.append(args[1]) or really(*args))

    def counted(*args):
        samples = really_read(*args)
        longest.append(len(samples))
        return samples

    monkeypatch.setattr(recordings, "read_samples", counted)
    segments = "a1 mono 1 1.5\na2 mono 0 0.5\na3 mono 0.25 1\na4 mono 0 0.5\nb1 two 0 0.5 0\nb2 two 0 0.5 0\n"
    found = read(folder, segments)
    assert [name.rpartition("/")[2] for name in opened] == ["mono.wav", "two.flac"] and max(longest) == 12000
    assert found["a2"].tolist() == found["a4"].tolist() == found["b1"].tolist() == ramp(8000).tolist()
    assert found["a3"].tolist() == ramp(2 * RATE)[4000:16000].tolist()


def test_recordings_inside_archives(folder):
    """As wav-copy writes them; found by their place, or read one after the other."""
    entries, data = [], b""
    for key, count in (("a", 500), ("b", 700)):
        wave = io.BytesIO()
        soundfile.write(wave, ramp(count), RATE, format="WAV")
        data += key.encode() + b" "
        entries.append(f"{key} {folder}/wavs.ark:{len(data)}\n")
        data += wave.getvalue()
    (folder / "wavs.ark").write_bytes(data)
    (folder / "wav.scp").write_text("".join(entries))
    by_place = read(folder)
    in_order = dict(Recordings(rspecifier(f"ark:{folder}/wavs.ark"), None, (1, 1), False).utterances(RATE))
    for found in (by_place, in_order):
        assert found["a"].tolist() == ramp(500).tolist() and found["b"].tolist() == ramp(700).tolist()
    for arguments in ((None, (1, 2)), ({}, (1, 1))):
        with pytest.raises(UserError, match="found by a script"):
            Recordings(rspecifier(f"ark:{folder}/wavs.ark"), *arguments, False)
    (folder / "wavs.ark").write_bytes(data[:-9])
    with pytest.raises(UserError, match="wavs.ark: key 'b' at offset 1048: truncated"):
        read(folder)


def test_recordings_from_commands_and_standard_input(folder, monkeypatch):
    """A program that writes to a pipe cannot know the length that it puts into the header."""
    data = bytearray((folder / "mono.wav").read_bytes())
    data[40:44] = struct.pack("<I", 0x7FFFFFFF)
    (folder / "streamed.wav").write_bytes(data)
    (folder / "wav.scp").write_text(f"a cat {folder}/streamed.wav |\nb -\nc exit 3 |\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
    found = Recordings(rspecifier(f"scp:{folder}/wav.scp"), None, (1, 1), True).utterances(RATE)
    for expected in "ab":
        key, samples = next(found)
        assert key == expected and samples.tolist() == ramp(2 * RATE).tolist()
    with pytest.raises(UserError, match="'exit 3': the command ended with status 3"):
        next(found)
    with pytest.raises(UserError, match="wav.scp: key 'a': commands .* --allow-pipes"):
        read(folder)


def test_what_cannot_be_read_is_an_error_or_skipped(folder, caplog):
    with open(folder / "wav.scp", "a") as script:
        script.write(f"z {folder}/nothing.wav\n")
    with pytest.raises(UserError, match="nothing.wav: cannot be read as audio"):
        read(folder)
    assert list(read(folder, specifier="scp,p")) == ["mono", "two"] and "nothing.wav" in caplog.text
    assert list(read(folder, "a z 0 1\nb mono 0 1\nc z 0 1\n", "scp,p")) == ["b"]
