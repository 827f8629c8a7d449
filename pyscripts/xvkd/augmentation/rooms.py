"""Random room responses.

``fast_random_response`` follows Luo and Yu, "Fast Random Approximation of Multi-channel Room Impulse Response" (arXiv
2208.04101), which Lhotse has as well; Lhotse's needs torchaudio, which nothing else here does, and draws in part from
torch's global generator. Unlike there, reflections have either sign, or their sum would be a
rumble below all frequencies of speech, and are as many as the distance says, so that the sound dies away evenly.
``decaying_response`` is another model of a room, for tests.
"""

import numpy as np
from scipy.signal import butter, resample_poly, sosfilt

from xvkd.corpora.synthesis.channel import SAMPLING_RATE, Channel, room_response

_SPEED = 340.0  # of sound, m/s
_OVERSAMPLING = 8  # reflections arrive between samples


def fast_random_response(rng: np.random.Generator, rate: int) -> np.ndarray:
    """A room's response, approximated by reflections at random distances.

    Args:
        rng: draws the room (reverberation time 0.1 to 0.8 s), the distance (0.3 to 6 m) and the reflections.
        rate: Hz.

    Returns:
        float64 (samples,), the greatest 0.9, its direct sound.
    """
    t60 = rng.uniform(0.1, 0.8)
    absorption = 1 - np.exp(-0.16 * rng.uniform(0.1, 1.2) / t60)  # Eyring's formula, of volume over surface
    coefficient = np.sqrt(1 - absorption**2)
    direct = min(rng.uniform(0.3, 6.0), 0.3 * _SPEED * t60)  # metres
    longest = _SPEED * t60
    # Few reflections are near, many far: their density grows with the square.
    share = (np.cbrt(rng.uniform(0.25**3, 1.0, rate // 2)) - 0.25) / 0.75
    distance = direct + share * (longest - 2 * direct)
    most = (np.log10(longest) - np.log10(direct) - 3) / np.log10(coefficient)
    bounces = distance / longest * (most - 1) + 1 + rng.uniform(-2, 2, len(distance)) * (distance / direct) ** 0.2
    gains = coefficient ** np.maximum(bounces, 1) / distance
    fine = np.zeros(int(np.ceil(t60 * rate * _OVERSAMPLING)) + 1)
    places = np.concatenate([[direct], distance]) / _SPEED * rate * _OVERSAMPLING
    signs = rng.choice([-1.0, 1.0], len(gains))
    np.add.at(fine, np.minimum(places.astype(int), len(fine) - 1), np.concatenate([[1 / direct], gains * signs]))
    response = sosfilt(butter(2, 80, "highpass", fs=rate, output="sos"), resample_poly(fine, 1, _OVERSAMPLING))
    response = response[int(direct / _SPEED * rate * 0.9) :]  # not the way to the microphone
    loudest = np.argmax(np.abs(response))
    return 0.9 * response / response[loudest]


def decaying_response(rng: np.random.Generator, rate: int) -> np.ndarray:
    """A room's response as that of the embedded corpus: noise that dies away within 0.3 to 0.9 s."""
    channel = Channel(
        t60=rng.uniform(0.3, 0.9), direct_db=rng.uniform(-3, 8), eq_db=[], noise_tilt_db=0.0, snr_db=0.0
    )
    response = room_response(rng, channel)
    if rate != SAMPLING_RATE:
        common = np.gcd(rate, SAMPLING_RATE)
        response = resample_poly(response, rate // common, SAMPLING_RATE // common)
    return 0.9 * response / np.abs(response).max()
