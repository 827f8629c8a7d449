"""The channel between a mouth and a file: a room, its noise, a microphone, a recording level."""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from xvkd.config import limits
from xvkd.corpora.synthesis.draws import range_problem, uniform

SAMPLING_RATE = 16000
_EQ_HZ = np.array([100, 250, 500, 1000, 2000, 3000, 4500, 7000])  # where the microphone's gains are drawn
_LOWEST_HZ = 60.0  # below it the noise rises no further
_FIRST_REFLECTION = 0.003  # seconds after the direct sound
_PEAK = 0.95  # of full scale; a louder recording is turned down, never clipped


@dataclass
class ChannelOptions:
    """Ranges from which channels are drawn. All but the last two are drawn once a session."""

    t60: list[float] = limits(0.05, 2)
    direct_db: list[float] = limits(-20, 40)
    eq_db: float = limits(0, 20)
    noise_tilt_db: list[float] = limits(-20, 20)
    snr_db: list[float] = limits(-10, 60)
    snr_jitter_db: float = limits(0, 10)
    level_db: list[float] = limits(-60, -10)

    def validate(self) -> str | None:
        return range_problem(
            t60=self.t60, direct_db=self.direct_db, noise_tilt_db=self.noise_tilt_db, snr_db=self.snr_db,
            level_db=self.level_db,
        )


@dataclass(frozen=True)
class Channel:
    """One session's channel.

    Attributes:
        t60: time in which reverberation falls by 60 dB, in seconds.
        direct_db: energy of the direct sound over that of the reverberation, in dB.
        eq_db: gains of the microphone at eight frequencies, in dB.
        noise_tilt_db: slope of the noise's spectrum, in dB an octave.
        snr_db: mean signal-to-noise ratio, in dB.
    """

    t60: float
    direct_db: float
    eq_db: list[float]
    noise_tilt_db: float
    snr_db: float


def draw_channel(rng: np.random.Generator, options: ChannelOptions) -> Channel:
    """Draws a session's channel; numbers are rounded to what an ear could tell."""
    return Channel(
        t60=round(uniform(rng, options.t60), 3),
        direct_db=round(uniform(rng, options.direct_db), 2),
        eq_db=[round(options.eq_db * gain, 2) for gain in rng.standard_normal(len(_EQ_HZ)).tolist()],
        noise_tilt_db=round(uniform(rng, options.noise_tilt_db), 2),
        snr_db=round(uniform(rng, options.snr_db), 2),
    )


def room_response(rng: np.random.Generator, channel: Channel) -> np.ndarray:
    """A room's impulse response at 16 kHz: the direct sound, then noise that dies away exponentially.

    Returns:
        Array of shape (t60 * 16000,), 1 at index 0.
    """
    time = np.arange(round(channel.t60 * SAMPLING_RATE)) / SAMPLING_RATE
    response = rng.standard_normal(len(time)) * 10.0 ** (-3.0 * time / channel.t60)  # -60 dB at t60
    response[time < _FIRST_REFLECTION] = 0.0
    response *= np.sqrt(10.0 ** (-channel.direct_db / 10) / np.sum(response**2))
    response[0] = 1.0
    return response


def record(
    speech: np.ndarray,
    channel: Channel,
    room: np.ndarray,
    rng: np.random.Generator,
    snr_db: float,
    level_db: float,
) -> np.ndarray:
    """Passes an utterance through a channel.

    All of it is linear, so it happens in one long Fourier transform.

    Args:
        speech: samples at 16 kHz, shape (num_samples,), with the silence that is wanted around them.
        channel: the session's channel.
        room: its room's response.
        rng: the stream of the noise.
        snr_db: signal-to-noise ratio of this utterance before the microphone, in dB.
        level_db: root mean square of the recording, in dB of full scale.

    Returns:
        int16 samples of the same shape.
    """
    size = next_fast_len(len(speech) + len(room), real=True)
    hertz = np.fft.rfftfreq(size, 1 / SAMPLING_RATE)
    octaves = np.log2(np.maximum(hertz, _LOWEST_HZ) / 1000)

    wet = rfft(speech, size) * rfft(room, size)
    noise = rng.standard_normal((2, len(hertz)))
    noise = (noise[0] + 1j * noise[1]) * 10.0 ** (channel.noise_tilt_db * octaves / 20)
    noise[0] = 0.0
    # The noise lasts longer than the speech, so energies are compared by the second.
    ratio = np.sum(np.abs(wet) ** 2) / len(speech) / (np.sum(np.abs(noise) ** 2) / size)
    noise *= np.sqrt(ratio * 10.0 ** (-snr_db / 10))

    gains = np.interp(octaves, np.log2(_EQ_HZ / 1000), channel.eq_db)
    samples = irfft((wet + noise) * 10.0 ** (gains / 20), size)[: len(speech)]
    samples *= 10.0 ** (level_db / 20) / np.sqrt(np.mean(samples**2))
    samples *= min(1.0, _PEAK / np.max(np.abs(samples)))
    return np.rint(32767 * samples).astype("<i2")
