"""What the tests of training share."""

import kaldiio
import numpy as np
import pytest
import torch

from xvkd.training.config import FineTuningConfig, SpecAugmentConfig, TrainingConfig


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_config():
    """A training configuration for toys; keywords replace its values."""

    def make(**changes):
        values = {
            "epochs": 3, "chunks_per_utterance": 1, "balance": "utterances", "batch_size": 4, "chunk_frames": 20,
            "spec_augment": SpecAugmentConfig(0, 0, 0, 0), "optimiser": "adamw", "momentum": 0.9,
            "weight_decay": 0.01, "schedule": "one_cycle", "learning_rate": 0.01, "warmup": 0.2, "final_share": 0.01,
            "max_gradient_norm": 5.0, "precision": "float32", "average_epochs": 1, "dev_every": 0,
            "dev_utterances": 100, "dev_frames": 100, "patience": 0,
            "fine_tuning": FineTuningConfig(0, 40, 0.001, None), "cache_gib": 1.0, "reader_workers": 0,
            "checkpoint_minutes": 1e6,
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
