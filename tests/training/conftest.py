"""What the tests of training share."""

import kaldiio
import numpy as np
import pytest
import torch
from toy_training import toy_config


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def make_config():
    """A training configuration for toys; keywords replace its values."""

    return toy_config


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
