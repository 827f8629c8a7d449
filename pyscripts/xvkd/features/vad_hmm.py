"""Voice activity as the best path of a two-state HMM with minimum durations.

Each utterance has a model of its own, fitted by EM: silence is steady, a narrow Gaussian of log energy and cepstra;
speech is louder on average, and broad. The ratio of the two likelihoods says of each frame by itself which it looks
like; the HMM, a chain of states for each, decides on whole segments. Its path is found by
``xvkd.features.vad_viterbi`` or ``xvkd.features.vad_k2``, which find the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import numpy as np

from xvkd.schema import choices, limits

BACKENDS = ("viterbi", "k2")
# Ratios and costs are multiples of it, so that a path's score is exact in any order of summation. Then two
# decoders cannot disagree about two paths of one score by their rounding.
_GRID = 2.0**-10
_LEAST_VARIANCE = 1e-6


@dataclass
class VadHmmConfig:
    """Schema of ``conf/features/vad_hmm.yaml``. Energies are natural logarithms: 1 is 4.3 dB."""

    kind: str = choices("hmm")
    min_silence_frames: int = limits(1, 1000)
    min_speech_frames: int = limits(1, 1000)
    change_cost: float = limits(0.0, 1000.0)  # of a path's log likelihood, for each change of state
    max_ratio: float = limits(0.01, 100.0)  # no frame's log-likelihood ratio is further from 0
    context: int = limits(0, 1000)  # frames on each side over which coefficients are averaged
    min_silence_std: float = limits(0.01)  # of the log energy
    max_silence_std: float = limits(0.01)
    min_speech_std: float = limits(0.01)
    min_energy_std: float = limits(0.0)  # of an utterance; what varies less is one steady sound
    cepstra: int = limits(0, 1000)  # coefficients behind the energy that count as well
    cepstra_weight: float = limits(0.0, 1.0)  # of their log likelihoods
    max_silence_spread: float = limits(0.01, 1.0)  # of their standard deviation in silence, over the utterance's
    steady_energy: float  # a steady sound too short for both minimum durations is speech above it
    digital_silence: float  # log energy below which nothing was recorded
    em_iterations: int = limits(1, 1000)
    k2_beam: float = limits(1.0, 1e6)  # of the lattice from which k2 computes posteriors
    features: str  # conf/features/<features>.yaml: what it reads

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        if not self.min_silence_std <= self.max_silence_std <= self.min_speech_std:
            return "expected min_silence_std <= max_silence_std <= min_speech_std: silence is the steadier of the two"
        return None

    @property
    def grid_cost(self) -> float:
        """``change_cost`` on the grid of the ratios."""
        return float(_on_grid(np.float64(self.change_cost)))


@dataclass
class _Model:
    """Two Gaussians of independent coefficients, silence and speech: arrays (2, coefficients)."""

    means: np.ndarray
    variances: np.ndarray
    weights: np.ndarray  # (coefficients,) of their log likelihoods
    quietest: float  # log energy; what is quieter than silence is no speech, whatever else it is

    def ratio(self, frames: np.ndarray) -> np.ndarray:
        """Log likelihood of speech over that of silence.

        Beyond its means the energy says what it says there: the broader of two Gaussians would win on both sides
        of the other, and call the quietest frames speech.
        """
        (silence, speech), (narrow, broad) = self.means, 1 / self.variances
        # Of a difference of squared distances the square, the linear and the constant part.
        square = 0.5 * self.weights * (narrow - broad)
        linear = self.weights * (speech * broad - silence * narrow)
        constant = 0.5 * self.weights @ (silence**2 * narrow - speech**2 * broad + np.log(broad) - np.log(narrow))
        energy = np.clip(frames[:, 0], min(silence[0], speech[0]), max(silence[0], speech[0]))
        cepstra = frames[:, 1:]
        ratio = constant + energy * (energy * square[0] + linear[0])
        ratio += cepstra**2 @ square[1:] + cepstra @ linear[1:]
        ratio[frames[:, 0] < self.quietest] = -np.inf
        return ratio


def hmm_vad(features: Sequence[np.ndarray], config: VadHmmConfig, backend: str) -> list[np.ndarray]:
    """Marks the voiced frames of utterances.

    Args:
        features: of each utterance (frames, dim), C0 being the log energy.
        config: the model and its durations.
        backend: one of ``BACKENDS``.

    Returns:
        float32 (frames,) each: 1 where voiced, else 0. All segments have their minimum duration but an
        utterance's first and last, which its recording may have cut.

    Raises:
        UserError: the backend is not installed.
    """
    paths = _backend(backend).decode([log_likelihood_ratios(frames, config) for frames in features], config)
    return [path.astype(np.float32) for path in paths]


def hmm_posteriors(features: Sequence[np.ndarray], config: VadHmmConfig, backend: str) -> list[np.ndarray]:
    """The probability of speech in each frame, given the whole utterance: float32 (frames,) each, in [0, 1].

    The arguments are those of :func:`hmm_vad`.
    """
    ratios = [log_likelihood_ratios(frames, config) for frames in features]
    return [chance.astype(np.float32) for chance in _backend(backend).posteriors(ratios, config)]


def _backend(name: str) -> ModuleType:
    return import_module(f"xvkd.features.vad_{name}")


def batches(ratios: Sequence[np.ndarray], most_frames: int) -> Iterator[list[int]]:
    """What the backends decode together.

    Args:
        ratios: of each utterance (frames,).
        most_frames: of a batch, all utterances being filled up to the longest.

    Yields:
        Indices of utterances of like length, the longest last; those without frames are left out.
    """
    batch: list[int] = []
    for index in sorted(range(len(ratios)), key=lambda index: len(ratios[index])):
        if batch and (len(batch) + 1) * len(ratios[index]) > most_frames:
            yield batch
            batch = []
        if len(ratios[index]):
            batch.append(index)
    if batch:
        yield batch


def log_likelihood_ratios(features: np.ndarray, config: VadHmmConfig) -> np.ndarray:
    """How much likelier each frame is under the utterance's model of speech than under that of silence.

    Args:
        features: (frames, dim), C0 being the log energy; as many cepstra as there are, up to ``config.cepstra``.
        config: the model.

    Returns:
        float64 (frames,), natural logarithm, at most ``max_ratio`` from 0 and on a grid (see ``_GRID``). An
        utterance in which nothing stands out is silence as a whole: -max_ratio everywhere. If it is shorter
        than the two minimum durations together, a steady sound may be a vowel, and its level decides.
    """
    frames = _average(features[:, : 1 + config.cepstra].astype(np.float64), config.context)
    heard = features[:, 0] > config.digital_silence
    model = _fit(frames[heard], config)
    if model is not None:
        ratios = model.ratio(frames)
    else:
        short = len(frames) < config.min_silence_frames + config.min_speech_frames
        loud = heard.any() and frames[heard, 0].mean() > config.steady_energy
        ratios = np.full(len(frames), np.inf if short and loud else -np.inf)
    ratios[~heard] = -np.inf
    return _on_grid(np.clip(ratios, -config.max_ratio, config.max_ratio))


def _average(features: np.ndarray, context: int) -> np.ndarray:
    """Each coefficient's mean over a frame and ``context`` frames on each side; of the energy, before its logarithm."""
    frames, context = len(features), min(context, len(features))
    loudest = features[:, 0].max(initial=0.0)
    values = features.copy()
    values[:, 0] = np.exp(np.maximum(features[:, 0] - loudest, -700))
    total, count = np.zeros_like(values), np.zeros((frames, 1))
    for shift in range(-context, context + 1):
        to, of = slice(max(-shift, 0), frames - max(shift, 0)), slice(max(shift, 0), frames - max(-shift, 0))
        total[to] += values[of]
        count[to] += 1
    total /= count
    total[:, 0] = np.log(total[:, 0]) + loudest
    return total


def _fit(frames: np.ndarray, config: VadHmmConfig) -> _Model | None:
    """Fits the model by EM; None where there are not two kinds of frames."""
    energy = frames[:, 0]
    if len(frames) < 2 or energy.std() < config.min_energy_std:
        return None
    low, high, speech_low = _limits(frames, config)
    weights = np.full(frames.shape[1], config.cepstra_weight)
    weights[0] = 1
    squares = frames**2
    speech = (energy > _best_threshold(energy)).astype(np.float64)
    for _ in range(config.em_iterations):
        share = speech.mean()
        if not 0 < share < 1:
            return None
        chances = np.stack([1 - speech, speech])
        chances /= chances.sum(axis=1, keepdims=True)
        means = chances @ frames
        variances = chances @ squares - means**2
        limited = np.stack([np.clip(variances[0], low, high), np.maximum(variances[1], speech_low)])
        model = _Model(means, limited, weights, means[0, 0] - 2 * config.max_silence_std)
        odds = np.log(share / (1 - share)) + model.ratio(frames)
        speech = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
    return model if means[1, 0] > means[0, 0] else None


def _limits(frames: np.ndarray, config: VadHmmConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The limits of silence's variances, and the lower ones of speech's: (coefficients,) each.

    Without them the quieter half of a talker's frames would pass for silence where there is none, and of speech in
    noise all but its loudest moments would. Those of the cepstra go by their variance in the whole utterance.
    """
    speech_low = np.maximum(frames.var(axis=0), _LEAST_VARIANCE)
    high = speech_low * config.max_silence_spread**2
    low = high * (config.min_silence_std / config.max_silence_std) ** 2
    low[0], high[0], speech_low[0] = config.min_silence_std**2, config.max_silence_std**2, config.min_speech_std**2
    return low, high, speech_low


def _best_threshold(values: np.ndarray) -> float:
    """The value that parts the values into two groups of least variance (Otsu, 1979)."""
    ordered = np.sort(values)
    below = np.arange(1, len(ordered))
    sums = np.cumsum(ordered)
    distance = (sums[-1] - sums[:-1]) / (len(ordered) - below) - sums[:-1] / below
    return ordered[np.argmax(below * (len(ordered) - below) * distance**2)]


def _on_grid(values: np.ndarray) -> np.ndarray:
    return np.round(values / _GRID) * _GRID
