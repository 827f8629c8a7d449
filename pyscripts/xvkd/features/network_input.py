"""What a network reads of an utterance: sliding CMN, then the voiced frames."""

from dataclasses import dataclass

import numpy as np

from xvkd.schema import limits

# The features that the energy VAD reads, and that have Kaldi's plain name, feats.scp.
DEFAULT_FEATURES = "mfcc"
# Features and VAD of one recording may differ by so many frames, where they come from different programs.
MOST_FRAMES_APART = 3


@dataclass
class InputConfig:
    """Schema of ``conf/inputs/*.yaml``."""

    features: str  # conf/features/<features>.yaml
    vad: str  # conf/features/<vad>.yaml, and the name of what it has written, <vad>.scp
    cmn_window: int = limits(1)  # frames
    min_cmn_window: int = limits(1)  # frames; only without center
    center: bool
    norm_vars: bool
    voiced_only: bool

    @property
    def feats_name(self) -> str:
        """The name of the features' script, without ``.scp``: Kaldi's ``feats`` for the default ones."""
        return "feats" if self.features == DEFAULT_FEATURES else f"feats_{self.features}"


def sliding_cmn(
    features: np.ndarray, cmn_window: int, min_cmn_window: int, center: bool, norm_vars: bool
) -> np.ndarray:
    """Normalises mean (and variance) over a sliding window, as Kaldi's apply-cmvn-sliding.

    Args:
        features: (frames, dim).
        cmn_window: frames of the window; at the edges it moves inwards.
        min_cmn_window: without ``center``, the least window at the beginning.
        center: the window lies around the frame, else before it.
        norm_vars: the variance is normalised too.

    Returns:
        float32 (frames, dim).
    """
    frames = len(features)
    if frames == 0:
        return features.astype(np.float32)
    t = np.arange(frames)
    first = t - cmn_window // 2 if center else t - cmn_window
    end = first + cmn_window if center else t + 1
    end = np.where(first < 0, end - first, end)
    first = np.maximum(first, 0)
    if not center:
        end = np.where(end > t, np.maximum(t + 1, min_cmn_window), end)
    first = np.where(end > frames, np.maximum(first - (end - frames), 0), first)
    end = np.minimum(end, frames)

    x = features.astype(np.float64)
    count = (end - first)[:, None]
    mean = _window_sums(x, first, end) / count
    y = x - mean
    if norm_vars:
        variance = np.maximum(_window_sums(x * x, first, end) / count - mean * mean, 1e-10)
        y = np.where(count == 1, 0.0, y / np.sqrt(variance))
    return y.astype(np.float32)


def _window_sums(x: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])
    return total[end] - total[first]


def network_input(features: np.ndarray, vad: np.ndarray | None, config: InputConfig) -> np.ndarray:
    """Prepares one utterance for a network.

    Args:
        features: (frames, dim).
        vad: (frames,), 1 where voiced; only read if ``config.voiced_only``. Where it and the features
            differ in length, the shorter counts.
        config: normalisation and selection.

    Returns:
        float32 (voiced frames, dim), perhaps without any frame.
    """
    normalised = sliding_cmn(
        features, config.cmn_window, config.min_cmn_window, config.center, config.norm_vars
    )
    if not config.voiced_only or vad is None:
        return normalised
    frames = min(len(vad), len(normalised))
    return normalised[:frames][vad[:frames] != 0]
