"""Augmentation on the fly: chunks whose audio is degraded with new draws whenever they are read."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xvkd.augmentation.augmenter import Augmenter
from xvkd.augmentation.noise_corpus import PARTS
from xvkd.errors import UserError
from xvkd.features.cuts import load_cut, utterance_cuts
from xvkd.features.extraction import FeatureConfig, FeatureExtractor
from xvkd.features.network_input import InputConfig, sliding_cmn
from xvkd.kaldi.datadir import DataDir
from xvkd.training.data import UtteranceReader

if TYPE_CHECKING:
    from lhotse.cut import Cut


class AugmentingReader:
    """Network inputs: whole utterances are clean, some of the chunks are degraded.

    Args:
        clean: gives whole utterances, the chunks that are left clean, and the VAD, which is that of clean speech.
        data_dirs: the same as of ``clean``, with manifests; copies that are degraded already are left as they are.
        speakers: utterance to speaker.
        augmenter: degrades the share of chunks that its configuration calls ``online``.
        features: as those of ``clean`` were computed.
        config: what a network reads.
    """

    def __init__(
        self, clean: UtteranceReader, data_dirs: Sequence[DataDir], speakers: Mapping[str, str], augmenter: Augmenter,
        features: FeatureConfig, config: InputConfig,
    ) -> None:  # fmt: skip
        self._clean, self._speakers, self._augmenter, self._config = clean, speakers, augmenter, config
        self._features, self._extractor = features, FeatureExtractor(features)
        # As text they need a fraction of the memory.
        self._cuts = {
            cut.id: json.dumps(cut.to_dict())
            for data_dir in data_dirs for cut in utterance_cuts(data_dir.path)
            if cut.id in speakers and not hasattr(cut, "tracks")
        }  # fmt: skip
        if not self._cuts:
            raise UserError(
                f"{', '.join(str(data_dir.path) for data_dir in data_dirs)}: no audio that can be augmented on the fly"
            )

    def __contains__(self, utterance: object) -> bool:
        """Whether there is all that the input of an utterance is made of."""
        return utterance in self._clean

    def __getitem__(self, utterance: str) -> np.ndarray:
        """The clean input of one utterance: float32 (frames, dim)."""
        return self._clean[utterance]

    def chunk(self, utterance: str, length: int, offset: float, seed: int) -> np.ndarray:
        """A piece of the input of one utterance, degraded or clean.

        Args:
            utterance: one with frames.
            length: frames; a shorter utterance is repeated until it is long enough.
            offset: in [0, 1): where in the utterance the piece begins.
            seed: of all that is random; the same gives the same chunk.

        Returns:
            float32 (length, dim).
        """
        rng = np.random.default_rng(seed)
        if rng.random() >= self._augmenter.config.online or utterance not in self._cuts:
            return self._clean.chunk(utterance, length, offset, seed)
        return self.degraded_chunk(utterance, length, offset, rng)

    def degraded_chunk(self, utterance: str, length: int, offset: float, rng: np.random.Generator | None) -> np.ndarray:
        """The chunk from the audio; without ``rng`` nothing is added to it."""
        from lhotse.serialization import deserialize_item

        cut = deserialize_item(json.loads(self._cuts[utterance]))
        marks = self._clean.marks(utterance)
        shift = self._features.frame_shift / 1000
        total = round(cut.duration / shift) if marks is None else len(marks)
        voiced = np.arange(total) if marks is None else np.flatnonzero(marks)
        first = int(offset * (max(len(voiced) - length, 0) + 1))
        chosen = voiced[first : first + length]
        # What the mean over the window is taken of, and no more, is read; at the edges the window moves inwards.
        window = self._config.cmn_window
        before, after = (window // 2, window - window // 2) if self._config.center else (window, 0)
        begin = max(min(int(chosen[0]) - before, total - window), 0)
        piece = _part(cut, begin * shift, max(int(chosen[-1]) + 1 + after, min(window, total)) * shift)
        if rng is not None:
            piece, _ = self._augmenter(piece, self._speakers[utterance], self._augmenter.draw_kind(rng), rng)
        frames = self._extractor(load_cut(piece, self._features.sample_frequency))
        config = self._config
        frames = sliding_cmn(frames, window, config.min_cmn_window, config.center, config.norm_vars)
        # Programs may disagree by a frame on where an utterance ends.
        chunk = frames[np.minimum(chosen - begin, len(frames) - 1)]
        return chunk if len(chunk) == length else np.resize(chunk, (length, frames.shape[1]))


def _part(cut: "Cut", begin: float, end: float) -> "Cut":
    """A cut from ``begin`` to ``end``, in seconds, or to where it ends."""
    if begin <= 0 and end >= cut.duration:
        return cut
    return cut.truncate(offset=begin, duration=min(end, cut.duration) - begin, preserve_id=True)


def noise_fingerprint(folder: Path) -> dict[str, Any]:
    """What tells a noise corpus from another: the checksums of its lists."""
    return {part: hashlib.sha256((folder / f"{part}.jsonl.gz").read_bytes()).hexdigest() for part in PARTS}
