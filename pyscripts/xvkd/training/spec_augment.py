"""SpecAugment (Park et al., 2019): stretches of frames and of coefficients are hidden, without time warping.

What is hidden becomes 0, which is the mean after mean normalisation.
"""

import torch

from xvkd.training import ranks
from xvkd.training.config import SpecAugmentConfig


def hide(features: torch.Tensor, config: SpecAugmentConfig, batch: int) -> torch.Tensor:
    """Hides other stretches of each chunk of a batch, drawn by torch's generator.

    Args:
        features: (part, frames, dim), this rank's of the batch.
        config: how many stretches, each of 0 frames or coefficients up to the widest.
        batch: chunks; all ranks draw for all of them, so that their generators stay alike.

    Returns:
        the same shape; ``features`` itself if nothing is to be hidden.
    """
    for axis, masks, widest in (
        (1, config.time_masks, config.time_mask_frames), (2, config.frequency_masks, config.frequency_mask_bins),
    ):  # fmt: skip
        if masks:
            hidden = _stretches(batch, features.shape[axis], masks, widest, features.device)[ranks.part(batch)]
            features = features.masked_fill(hidden.unsqueeze(3 - axis), 0.0)
    return features


def _stretches(batch: int, size: int, masks: int, widest: int, device: torch.device) -> torch.Tensor:
    """bool (batch, size): True within one of the stretches."""
    width = torch.randint(0, widest + 1, (batch, masks, 1), device=device)
    first = (torch.rand(batch, masks, 1, device=device) * (size - width + 1)).long()
    place = torch.arange(size, device=device)
    return ((place >= first) & (place < first + width)).any(dim=1)
