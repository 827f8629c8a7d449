"""Writes what the tests of Kaldi data directories need: tables, sounds, features."""

import kaldiio
import numpy as np
import soundfile

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


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
