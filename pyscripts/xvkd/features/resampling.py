"""Resampling by a ratio of whole numbers."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# Of the low-pass filter: zeros of the sinc on each side, at the lower of the two rates, and its window.
ZEROS = 10
KAISER_BETA = 5.0


def resample_poly(samples: np.ndarray, up: int, down: int) -> np.ndarray:
    """Resamples to ``up / down`` times the rate, as scipy's function of this name does by default.

    (That one takes longer to import than a speaker takes to be verified.) Output n lies at n down / up samples of the
    input. All outputs with the same fraction there, as those of n mod up have, see the same coefficients of the filter.

    Args:
        samples: (N,) float32, N at least 1.
        up: at least 1, without a common divisor with
        down: at least 1.

    Returns:
        float32 (ceil(N up / down),).
    """
    half = ZEROS * max(up, down)
    cutoff = 1 / max(up, down)
    lags = np.arange(-half, half + 1)
    response = np.sinc(cutoff * lags) * np.kaiser(2 * half + 1, KAISER_BETA)
    response = (response * (up / response.sum())).astype(np.float32)
    length = -(-len(samples) * up // down)
    output = np.empty(length, np.float32)
    reach = half // up + 1
    padded = np.pad(samples, (reach, reach + down))
    for first in range(min(up, length)):
        # The input that the filter reaches first, and how far it lies before the output, in steps of 1 / up.
        begin = -((half - first * down) // up)
        taps = response[half + first * down - begin * up :: -up]
        count = -(-(length - first) // up)
        windows = sliding_window_view(padded, len(taps))[begin + reach :: down][:count]
        output[first::up] = windows @ taps
    return output
