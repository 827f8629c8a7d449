"""MFCC and log mel filterbanks as Kaldi's compute-mfcc-feats and compute-fbank-feats give them.

The arithmetic is Lhotse's ``Wav2MFCC`` and ``Wav2LogFilterBank``. Around it: Kaldi's framing with
reflected edges, done in blocks of frames so that an hour of speech needs no more memory than a
second, and C0 as the raw log energy (Lhotse 1.33 assigns it along the wrong axis).
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from lhotse.features.kaldi.layers import Wav2LogFilterBank, Wav2MFCC

from xvkd.config import choices, limits

_BLOCK_FRAMES = 1000


@dataclass
class FeatureConfig:
    """Schema of ``conf/features/*.yaml``; the names are Kaldi's options."""

    kind: str = choices("mfcc", "fbank")
    sample_frequency: int = limits(4000, 192000)  # Hz
    frame_length: float = limits(1.0, 1000.0)  # ms
    frame_shift: float = limits(1.0, 1000.0)  # ms
    window_type: str = choices("povey", "hamming", "hanning", "rectangular")
    num_mel_bins: int = limits(4, 512)
    num_ceps: int = limits(1, 512)  # MFCC only
    low_freq: float = limits(0.0)  # Hz
    high_freq: float  # Hz; 0 or less: below Nyquist by that much
    cepstral_lifter: int = limits(0)  # MFCC only
    use_energy: bool  # C0 is the raw log energy; MFCC only
    snip_edges: bool
    compress: bool  # archives in Kaldi's 8-bit format
    allow_empty: bool  # an utterance too short for a frame is an empty matrix, as in Kaldi; else an error

    @property
    def dim(self) -> int:
        """Coefficients a frame."""
        return self.num_ceps if self.kind == "mfcc" else self.num_mel_bins

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        nyquist = self.sample_frequency / 2
        high = self.high_freq if self.high_freq > 0 else nyquist + self.high_freq
        if not self.low_freq < high <= nyquist:
            return f"low_freq {self.low_freq} and high_freq {self.high_freq} must lie below {nyquist} Hz"
        if self.kind == "mfcc" and self.num_ceps > self.num_mel_bins:
            return f"num_ceps {self.num_ceps} must not exceed num_mel_bins {self.num_mel_bins}"
        return None


class _Mfcc(Wav2MFCC):
    """Lhotse's layer with the energy in C0 of every frame, and cosines and sines that are exact in float32.

    Lhotse takes them of float32 angles; rounded like that, they move the coefficients twice as far from Kaldi's.
    """

    @staticmethod
    def make_dct_matrix(num_ceps: int, num_filters: int) -> torch.Tensor:
        """The orthonormal DCT, float32 (num_filters, num_ceps)."""
        centres = (np.arange(num_filters)[:, None] + 0.5) / num_filters
        dct = np.sqrt(2 / num_filters) * np.cos(np.pi * centres * np.arange(num_ceps))
        dct[:, 0] *= np.sqrt(0.5)
        return torch.from_numpy(dct.astype(np.float32))

    @staticmethod
    def make_lifter(num_ceps: int, lifter: int) -> torch.Tensor:
        """The weights of the coefficients, float32 (num_ceps,); ones without a lifter."""
        weights = 1 + lifter / 2 * np.sin(np.pi * np.arange(num_ceps) / (lifter or 1))
        return torch.from_numpy(weights.astype(np.float32))

    def _forward_strided(self, x_strided: torch.Tensor, log_e: torch.Tensor | None) -> torch.Tensor:
        mfcc = super()._forward_strided(x_strided, None)
        if log_e is not None:
            mfcc[..., 0] = log_e
        return mfcc


def _power(spectrum: torch.Tensor) -> torch.Tensor:
    """The power spectrum, without the square root that an absolute value takes on the way."""
    return spectrum.real.square() + spectrum.imag.square()


class FeatureExtractor:
    """Turns a waveform into features.

    Args:
        config: the options.

    Attributes:
        length: samples of a frame.
        shift: samples from one frame to the next.
    """

    def __init__(self, config: FeatureConfig) -> None:
        self.config = config
        options = {
            "sampling_rate": config.sample_frequency,
            "frame_length": config.frame_length / 1000,
            "frame_shift": config.frame_shift / 1000,
            "window_type": config.window_type,
            "dither": 0.0,
            "snip_edges": True,  # of the signal that __call__ has extended
            "energy_floor": torch.finfo(torch.float32).eps,
            "low_freq": config.low_freq,
            "high_freq": config.high_freq,
            "num_filters": config.num_mel_bins,
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Lhotse advises against snip_edges in its own manifests
            if config.kind == "mfcc":
                layer = _Mfcc(
                    num_ceps=config.num_ceps, cepstral_lifter=config.cepstral_lifter,
                    use_energy=config.use_energy, **options,
                )
            else:
                layer = Wav2LogFilterBank(**options)
        layer._to_spec = _power
        self._layer = layer.eval()
        self.length = math.floor(config.frame_length / 1000 * config.sample_frequency)
        self.shift = math.floor(config.frame_shift / 1000 * config.sample_frequency)

    def num_frames(self, num_samples: int) -> int:
        """Frames of a waveform of so many samples, as Kaldi counts them."""
        if self.config.snip_edges:
            return max(0, 1 + (num_samples - self.length) // self.shift)
        return (num_samples + self.shift // 2) // self.shift

    def constants(self) -> dict[str, np.ndarray]:
        """What the arithmetic is made of, float32, for who writes it down elsewhere.

        Returns:
            ``preemphasis`` (), ``window`` (length,), ``filters`` (bins of the spectrum, num_mel_bins), and for MFCC
            ``cosines`` (num_mel_bins, num_ceps), the DCT and the lifter.
        """
        window = self._layer.wav2win
        found = {"preemphasis": np.float32(window.preemph_coeff), "window": window._window.numpy()}
        found["filters"] = self._layer._fb.numpy()
        if self.config.kind == "mfcc":
            found["cosines"] = (self._layer._dct * self._layer._lifter).numpy()
        return found

    @torch.inference_mode()
    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Computes the features of one utterance.

        Args:
            samples: float32 (samples,), in the range of 16-bit integers.

        Returns:
            float32 (frames, dim); no frames if the utterance is too short for one.
        """
        frames = self.num_frames(len(samples))
        if frames == 0:
            return np.zeros((0, self.config.dim), np.float32)
        if not self.config.snip_edges:
            samples = self._reflect(samples, frames)
        blocks = []
        for first in range(0, frames, _BLOCK_FRAMES):
            last = min(first + _BLOCK_FRAMES, frames) - 1
            block = samples[first * self.shift : last * self.shift + self.length]
            blocks.append(self._layer(torch.from_numpy(block).unsqueeze(0))[0])
        return torch.cat(blocks).numpy()

    def _reflect(self, samples: np.ndarray, frames: int) -> np.ndarray:
        """Extends a signal over its edges so that every frame is whole, as Kaldi's ExtractWindow."""
        before = (self.length - self.shift) // 2
        after = max(0, (frames - 1) * self.shift + self.length - before - len(samples))
        return np.pad(samples, (before, after), mode="symmetric")
