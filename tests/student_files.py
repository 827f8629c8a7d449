"""Data directories and embeddings of which students are made."""

import kaldiio
import numpy as np
import torch

SIZES = {"frame": 8, "segment6": 5}
UTTERANCES = [f"{speaker}-{number}" for speaker in "abcd" for number in range(3)]


def write_embeddings(folder, seed=0, utterances=UTTERANCES, sizes=None):
    """Embeddings far from the origin, so that nobody can miss the teacher's space by accident."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for level, size in (sizes or SIZES).items():
        vectors = {key: (50 + 3 * random.standard_normal(size)).astype(np.float32) for key in reversed(utterances)}
        kaldiio.save_ark(str(folder / f"{level}.ark"), vectors, scp=str(folder / f"{level}.scp"))


def write_data(folder, utterances=UTTERANCES, seed=1, copies=None):
    """A data directory of utterances that begin with their speaker's letter; ``copies`` is its utt2uniq."""
    random = np.random.default_rng(seed)
    folder.mkdir()
    frames = {key: random.standard_normal((40, 30)).astype(np.float32) for key in utterances}
    kaldiio.save_ark(str(folder / "feats.ark"), frames, scp=str(folder / "feats.scp"))
    vad = {key: np.ones(40, np.float32) for key in utterances}
    kaldiio.save_ark(str(folder / "vad.ark"), vad, scp=str(folder / "vad.scp"))
    (folder / "utt2spk").write_text("".join(f"{key} {key[0]}\n" for key in utterances))
    if copies:
        (folder / "utt2uniq").write_text("".join(f"{copy} {original}\n" for copy, original in copies.items()))
    return folder


def same(one, other):
    """Whether two networks have the same weights."""
    one, other = one.state_dict(), other.state_dict()
    return all(torch.equal(one[name], other[name]) for name in one)
