"""Recordings for tests: noise of a known level, in bursts too, and the log energy of any samples."""

import numpy as np

RATE = 16000
LENGTH, SHIFT = 400, 160  # samples of a frame, and between frames


def noise(seconds: float, level: float, seed: int, tilt: float = -3.0) -> np.ndarray:
    """Steady noise: samples in the range of 16-bit integers.

    Args:
        seconds: its length.
        level: standard deviation.
        seed: of the noise.
        tilt: slope of its spectrum, dB an octave.
    """
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(round(seconds * RATE)))
    hertz = np.fft.rfftfreq(round(seconds * RATE), 1 / RATE)
    samples = np.fft.irfft(spectrum * np.maximum(hertz, 60.0) ** (tilt / 20 / np.log10(2)))
    return samples * level / samples.std()


def bursts(samples: int, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Bursts of noise and a low tone, and quiet between them: float32 (samples,) in [-1, 1], at any rate."""
    random, time = np.random.default_rng(seed), np.arange(samples) / rate
    envelope = np.where(np.sin(2 * np.pi * 1.3 * time) > 0, 0.1, 0.0005)
    return (envelope * (random.standard_normal(samples) + 0.5 * np.sin(2 * np.pi * 200 * time))).astype(np.float32)


def features(samples: np.ndarray) -> np.ndarray:
    """Float32 (frames, 13): the log energy of 25 ms every 10 ms, as Kaldi's C0, and 12 cepstra of 24 mel bands."""
    starts = np.arange(0, max(len(samples) - LENGTH, 0) + 1, SHIFT)
    frames = np.stack([samples[start : start + LENGTH] for start in starts]).astype(np.float64)
    frames -= frames.mean(axis=1, keepdims=True)
    least = np.finfo(np.float32).eps
    energy = np.log(np.maximum((frames**2).sum(axis=1), least))
    power = np.abs(np.fft.rfft(frames * np.hamming(LENGTH), 512)) ** 2
    mel = 1127 * np.log1p(np.fft.rfftfreq(512, 1 / RATE) / 700)
    centres = np.linspace(0, mel[-1], 26)
    bands = np.maximum(0, 1 - np.abs(mel[:, None] - centres[1:-1]) / centres[1])
    angles = np.pi / 24 * np.arange(1, 13) * (np.arange(24)[:, None] + 0.5)
    return np.column_stack([energy, np.log(np.maximum(power @ bands, least)) @ np.cos(angles)]).astype(np.float32)


def runs(decisions: np.ndarray) -> list[tuple[int, int]]:
    """Kind and length of each segment."""
    ends = np.flatnonzero(np.diff(decisions)) + 1
    parts = np.split(np.asarray(decisions), ends)
    return [(int(part[0]), len(part)) for part in parts if len(part)]
