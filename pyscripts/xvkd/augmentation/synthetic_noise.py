"""Noise and music that are made where no recordings are given: one family to train on, another, held out, to test.

Each generator takes a random stream, a number of samples and a sampling rate in Hz, and returns samples whose greatest
is 0.5. What the families have in common is only that they are not speech.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

Maker = Callable[[Generator, int, int], np.ndarray]


def _coloured(rng: Generator, count: int, rate: int) -> np.ndarray:
    """Stationary noise: a slope of -9 to 3 dB an octave, and some hills and valleys."""
    size = next_fast_len(count, real=True)
    octaves = np.log2(np.maximum(rfftfreq(size, 1 / rate), 40.0) / 1000)
    hills = np.interp(octaves, np.linspace(-5, 4, 10), 5 * rng.standard_normal(10))
    return irfft(rfft(rng.standard_normal(size)) * 10 ** ((rng.uniform(-9, 3) * octaves + hills) / 20), size)[:count]


def _modulated(rng: Generator, count: int, rate: int) -> np.ndarray:
    """Coloured noise that swells and fades, as traffic and wind do."""
    knots = rng.uniform(-24, 0, 2 + round(count / rate * rng.uniform(0.5, 4)))
    gain = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(knots)), knots)
    return _coloured(rng, count, rate) * 10 ** (gain / 20)


def _impulsive(rng: Generator, count: int, rate: int) -> np.ndarray:
    """Knocks and clatter: bursts of coloured noise that die away within 5 to 200 ms, over a quiet ground."""
    gains = np.zeros(count)
    hits = rng.random(count) < rng.uniform(1, 8) / rate
    gains[hits] = 10 ** (rng.uniform(-20, 0, hits.sum()) / 20)
    decay = np.exp(-np.arange(rate // 2) / (rate * 10 ** rng.uniform(-2.3, -0.7)))
    return _coloured(rng, count, rate) * (fftconvolve(gains, decay)[:count] + 10 ** rng.uniform(-2, -1))


def _hum(rng: Generator, count: int, rate: int) -> np.ndarray:
    """A machine: harmonics of 40 to 400 Hz that waver in pitch and loudness, with some noise."""
    wander = gaussian_filter1d(rng.standard_normal(count // 100 + 2), 8) * 0.01
    pitch = 10 ** rng.uniform(1.6, 2.6) * (1 + np.interp(np.arange(count) / 100, np.arange(len(wander)), wander))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    orders = np.arange(1, min(25, int(0.45 * rate / pitch.max())) + 1)
    levels = orders ** -rng.uniform(0.3, 1.5) * 10 ** (rng.uniform(-15, 0, len(orders)) / 20)
    tones = sum(level * np.sin(order * phase + rng.uniform(0, 7)) for order, level in zip(orders, levels, strict=True))
    hiss = _coloured(rng, count, rate)
    return tones * (1 + 0.3 * np.sin(phase / rng.integers(8, 40))) + rng.uniform(0.1, 0.6) * hiss / np.std(hiss)


def _notes(rng: Generator, count: int, rate: int) -> np.ndarray:
    """Music: chords of harmonic tones on a scale, struck and fading, over a bass."""
    out = np.zeros(count)
    step = round(rate * rng.uniform(0.15, 0.5))
    scale, root = np.array([0, 2, 4, 7, 9, 12]), rng.uniform(45, 57)
    tilt, fade = rng.uniform(0.8, 2), rng.uniform(1, 6)
    for begin in range(0, count, step):
        length = min(round(step * rng.uniform(1, 3)), count - begin)
        time = np.arange(length) / rate
        envelope = np.minimum(time / 0.01, 1) * np.exp(-fade * time)
        for note in [-12, *rng.choice(scale, rng.integers(1, 4))]:
            pitch = 440 * 2 ** ((root + note + 12 - 69) / 12)
            for order in range(1, min(8, int(0.45 * rate / pitch)) + 1):
                out[begin : begin + length] += envelope * order**-tilt * np.sin(2 * np.pi * order * pitch * time)
    return out


def _band_sweeps(rng: Generator, count: int, rate: int) -> np.ndarray:
    """Held out: noise in a narrow band whose frequency rises and falls."""
    centre = rng.uniform(400, 3000) * 2 ** np.sin(2 * np.pi * rng.uniform(0.1, 1.5) * np.arange(count) / rate)
    carrier = np.sin(2 * np.pi * np.cumsum(centre) / rate)
    low = sosfilt(butter(2, rng.uniform(80, 500), fs=rate, output="sos"), rng.standard_normal((2, count)))
    return carrier * low[0] / np.std(low[0]) + rng.uniform(0.05, 0.3) * low[1] / np.std(low[1])


def _inharmonic(rng: Generator, count: int, rate: int) -> np.ndarray:
    """Held out: alarms and rattling metal: partials in no ratio, keyed on and off."""
    time = np.arange(count) / rate
    partials = rng.uniform(200, 0.4 * rate, rng.integers(3, 12))
    key = 0.5 + 0.5 * np.tanh(20 * np.sin(2 * np.pi * rng.uniform(0.5, 4) * time + rng.uniform(0, 7)))
    return key * sum(np.sin(2 * np.pi * pitch * time + rng.uniform(0, 7)) for pitch in partials)


def _rain(rng: Generator, count: int, rate: int) -> np.ndarray:
    """Held out: drops: hundreds of short ringing tones a second."""
    drops = (rng.random(count) < rng.uniform(100, 600) / rate) * rng.standard_normal(count)
    out = np.zeros(count)
    for _ in range(6):
        pole = np.exp((-rng.uniform(100, 800) + 2j * np.pi * rng.uniform(500, 0.45 * rate)) / rate)
        out += lfilter([1.0], [1.0, -2 * pole.real, abs(pole) ** 2], drops * (rng.random(count) < 0.4))
    return out


def _plucked(rng: Generator, count: int, rate: int) -> np.ndarray:
    """Held out: music of plucked strings: bursts of noise that go round a damped loop (Karplus and Strong)."""
    out = np.zeros(count)
    for begin in range(0, count, round(rate * rng.uniform(0.2, 0.6))):
        period = round(rate / (110 * 2 ** (rng.integers(0, 25) / 12)))
        length = min(rate, count - begin)
        burst = np.zeros(length)
        burst[: min(period, length)] = rng.uniform(-1, 1, min(period, length))
        loop = np.zeros(period + 2)
        loop[0], loop[-2:] = 1.0, -0.498
        out[begin : begin + length] += lfilter([1.0], loop, burst)
    return out


TRAINING: dict[str, dict[str, Maker]] = {
    "noise": {"coloured": _coloured, "modulated": _modulated, "impulsive": _impulsive, "hum": _hum},
    "music": {"notes": _notes},
}
HELD_OUT: dict[str, dict[str, Maker]] = {
    "noise": {"band": _band_sweeps, "inharmonic": _inharmonic, "rain": _rain},
    "music": {"plucked": _plucked},
}


def synthesise(maker: Maker, rng: Generator, count: int, rate: int) -> np.ndarray:
    """Runs a generator: float64 (count,), the greatest sample 0.5."""
    samples = maker(rng, count, rate)
    return 0.5 * samples / np.abs(samples).max()
