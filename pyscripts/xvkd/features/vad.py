"""Energy-based voice activity detection, as Kaldi's compute-vad."""

from dataclasses import dataclass

import numpy as np

from xvkd.schema import choices, limits


@dataclass
class VadConfig:
    """Schema of ``conf/features/vad.yaml``; all names but the last are Kaldi's options."""

    kind: str = choices("energy")
    vad_energy_threshold: float  # constant part of the threshold on C0
    vad_energy_mean_scale: float = limits(0.0)  # part of the utterance's mean C0
    vad_frames_context: int = limits(0)  # frames on each side that vote
    vad_proportion_threshold: float = limits(0.0, 1.0)  # share of votes that makes a frame voiced
    features: str  # conf/features/<features>.yaml: what it reads


def energy_vad(features: np.ndarray, config: VadConfig) -> np.ndarray:
    """Marks the voiced frames of an utterance.

    Args:
        features: (frames, dim), C0 being the log energy.
        config: thresholds.

    Returns:
        float32 (frames,): 1 where voiced, else 0.
    """
    energy = features[:, 0].astype(np.float32)
    frames = len(energy)
    if frames == 0:
        return np.zeros(0, np.float32)
    threshold = config.vad_energy_threshold + config.vad_energy_mean_scale * energy.mean(dtype=np.float64)
    above = np.concatenate([[0], np.cumsum(energy > threshold)])
    first = np.maximum(np.arange(frames) - config.vad_frames_context, 0)
    end = np.minimum(np.arange(frames) + config.vad_frames_context + 1, frames)
    votes = above[end] - above[first]
    return (votes >= (end - first) * config.vad_proportion_threshold).astype(np.float32)
