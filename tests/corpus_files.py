"""Writes what the tests of Kaldi data directories need: tables, sounds, features, manifests."""

import kaldiio
import numpy as np
import soundfile
from lhotse import CutSet, RecordingSet, SupervisionSet

from xvkd.corpora.corpus_set import file_recording, span
from xvkd.corpora.trials import Utterance

SPEAKERS = ["anna", "bob"]
UTTERANCES = {f"{speaker}-{number}": speaker for speaker in SPEAKERS for number in range(3)}


def write_table(path, table):
    path.write_text("".join(f"{key} {value}\n" for key, value in table.items()))


def write_sound(path, seconds=0.5, rate=16000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(0).standard_normal((round(seconds * rate), channels))
    soundfile.write(path, samples, rate)
    return path


def write_features(folder, archive, name="feats", frames=50):
    """<name>.scp, whose archive stands there as it is given here."""
    random = np.random.default_rng(0)
    shape = (frames, 30) if name == "feats" else (frames,)
    arrays = {key: np.round(random.random(shape)).astype(np.float32) for key in UTTERANCES}
    archive.parent.mkdir(parents=True, exist_ok=True)
    kaldiio.save_ark(str(archive), arrays, scp=str(folder / f"{name}.scp"))
    return arrays


def write_manifests(folder, sounds):
    """manifests/cuts.jsonl.gz, utt2spk, utt2dur and wav.scp as of stage 1, of {utterance: (speaker, file)}."""
    utterances = {name: Utterance(name, speaker, "", "") for name, (speaker, _) in sounds.items()}
    recordings = {name: file_recording(name, path) for name, (_, path) in sounds.items()}
    (folder / "manifests").mkdir(parents=True, exist_ok=True)
    CutSet.from_manifests(
        recordings=RecordingSet.from_recordings(recordings.values()),
        supervisions=SupervisionSet.from_segments(span(utterances[name], recordings[name]) for name in sounds),
    ).to_file(folder / "manifests" / "cuts.jsonl.gz")
    write_table(folder / "utt2spk", {name: speaker for name, (speaker, _) in sounds.items()})
    write_table(folder / "utt2dur", {name: f"{recording.duration:.4f}" for name, recording in recordings.items()})
    write_table(folder / "wav.scp", {name: path for name, (_, path) in sounds.items()})


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
