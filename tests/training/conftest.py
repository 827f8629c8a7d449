"""What the tests of training share."""

import kaldiio
import numpy as np
import pytest

from xvkd.training.config import TrainingConfig


@pytest.fixture
def make_config():
    """A training configuration for toys; keywords replace its values."""

    def make(**changes):
        values = {
            "epochs": 3, "chunks_per_utterance": 1, "batch_size": 4, "chunk_frames": 20, "learning_rate": 0.01,
            "warmup": 0.2, "weight_decay": 0.01, "max_gradient_norm": 5.0, "label_smoothing": 0.0,
            "precision": "float32", "cache_gib": 1.0, "reader_workers": 0, "checkpoint_minutes": 1e6,
        }  # fmt: skip
        return TrainingConfig(**{**values, **changes})

    return make


@pytest.fixture
def write_data_dir(tmp_path):
    """Writes a data directory with features and VAD of the given utterances: id -> (frames, dim)."""

    def write(features, vad=None, name="train"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        vad = vad or {key: np.ones(len(frames), np.float32) for key, frames in features.items()}
        kaldiio.save_ark(str(folder / "feats.ark"), features, scp=str(folder / "feats.scp"))
        kaldiio.save_ark(str(folder / "vad.ark"), vad, scp=str(folder / "vad.scp"))
        (folder / "utt2spk").write_text("".join(f"{key} {key.split('-')[0]}\n" for key in sorted(features)))
        return folder

    return write
