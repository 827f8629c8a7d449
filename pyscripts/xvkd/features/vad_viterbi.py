"""Best paths and posteriors of the HMM VAD, for utterances of any length.

A path is a list of the times at which silence and speech begin: a chain of states need not be followed frame by
frame. P(t) is the sum of the first t ratios. Of t frames that end in a segment of its minimum duration or
longer, F0(t) is the best score where that is silence, G1(t) + P(t) where it is speech:

    F0(t) = max(0, max_{1 <= u <= t - min_silence} J0(u))     J0(u) = G1(u) + P(u) - cost
    G1(t) = max(0, max_{1 <= u <= t - min_speech} J1(u))      J1(u) = F0(u) - P(u) - cost

u is where the last segment begins, and zero stands for a segment that begins with the utterance, which may have
any length. Both are running maxima over earlier times, so that frames are done in blocks as long as the shorter
of the durations, and all utterances of a batch at once. With sums of probabilities in place of maxima the same
recursion gives posteriors.
"""

from collections.abc import Sequence

import numpy as np

from xvkd.features.vad_hmm import VadHmmConfig, batches

_BATCH_FRAMES = 1 << 17


def decode(ratios: Sequence[np.ndarray], config: VadHmmConfig) -> list[np.ndarray]:
    """The best path of each utterance.

    Args:
        ratios: of each utterance float64 (frames,), as of ``vad_hmm.log_likelihood_ratios``.
        config: durations and cost of a change.

    Returns:
        bool (frames,) each, True in speech. Of paths with one score it is the one that ends in speech, then the
        one whose segments, from the last to the first, begin earliest.
    """
    paths = [np.zeros(len(ratio), bool) for ratio in ratios]
    for batch in batches(ratios, _BATCH_FRAMES):
        sums = _prefix_sums([ratios[index] for index in batch])
        joins, best = _recursion(sums, config, np.maximum)
        times = np.arange(len(sums))[:, None]
        begins = [
            np.maximum.accumulate(np.where(join > np.roll(reach, 1, axis=0), times, 0), axis=0)
            for join, reach in zip(joins, best, strict=True)
        ]
        for column, index in enumerate(batch):
            _trace(paths[index], sums[:, column], [x[:, column] for x in best], [x[:, column] for x in begins], config)
    return paths


def posteriors(ratios: Sequence[np.ndarray], config: VadHmmConfig) -> list[np.ndarray]:
    """The probability of speech in each frame: float64 (frames,) each; arguments as of :func:`decode`."""
    found = [np.zeros(0)] * len(ratios)
    for batch in batches(ratios, _BATCH_FRAMES):
        chosen = [ratios[index] for index in batch]
        sums, sums_behind = _prefix_sums(chosen), _prefix_sums([ratio[::-1] for ratio in chosen])
        joins, _ = _recursion(sums, config, np.logaddexp)
        # The same backwards: an utterance's last segment is cut as its first is.
        joins_behind, best_behind = _recursion(sums_behind, config, np.logaddexp)
        for column, index in enumerate(batch):
            frames = len(ratios[index])
            silence, speech = (np.logaddexp(0, best[frames - 1, column]) for best in best_behind)
            speech += sums[frames, column]
            total = np.logaddexp(silence, speech)
            # Segments that begin at 1 .. frames - 1, and the other ones that end there.
            ahead, behind = slice(1, frames), slice(frames - 1, 0, -1)
            to_speech = (joins[1][ahead, column] + sums[ahead, column]) + joins_behind[0][behind, column]
            to_silence = joins[0][ahead, column] + (joins_behind[1][behind, column] + sums_behind[behind, column])
            changes = np.exp(to_speech + config.grid_cost - total) - np.exp(to_silence + config.grid_cost - total)
            found[index] = np.clip(np.cumsum(np.concatenate([[np.exp(speech - total)], changes])), 0, 1)
    return found


def _prefix_sums(ratios: list[np.ndarray]) -> np.ndarray:
    """P: (frames + 1, utterances), of the longest utterance's length."""
    sums = np.zeros((max(map(len, ratios)) + 1, len(ratios)))
    for column, ratio in enumerate(ratios):
        sums[1 : len(ratio) + 1, column] = np.cumsum(ratio)
    return sums


def _recursion(sums: np.ndarray, config: VadHmmConfig, plus: np.ufunc) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """J0 and J1, and each one's sum (in the semiring of ``plus``) over all u up to t.

    Args:
        sums: (frames + 1, utterances), P.
        config: durations and cost.
        plus: np.maximum or np.logaddexp.

    Returns:
        Two pairs of arrays of the shape of ``sums``, for segments of silence and of speech; -inf at t = 0.
    """
    durations = (config.min_silence_frames, config.min_speech_frames)
    times, utterances = sums.shape
    # As many rows before t = 0 as a segment can ask for.
    pad = max(durations)
    joins = [np.full((times, utterances), -np.inf) for _ in durations]
    best = [np.full((pad + times, utterances), -np.inf) for _ in durations]
    for start in range(1, times, min(durations)):
        stop = min(start + min(durations), times)
        silence, speech = (
            plus(0, reach[pad + start - duration : pad + stop - duration])
            for reach, duration in zip(best, durations, strict=True)
        )
        joins[0][start:stop] = speech + sums[start:stop] - config.grid_cost
        joins[1][start:stop] = silence - sums[start:stop] - config.grid_cost
        for join, reach in zip(joins, best, strict=True):
            before = pad + start - 1
            reach[before + 1 : pad + stop] = join[start:stop]
            plus.accumulate(reach[before : pad + stop], axis=0, out=reach[before : pad + stop])
    return joins, [reach[pad:] for reach in best]


def _trace(
    path: np.ndarray, sums: np.ndarray, best: list[np.ndarray], begins: list[np.ndarray], config: VadHmmConfig
) -> None:
    """Fills the path of one utterance, from its last segment to its first."""
    durations = (config.min_silence_frames, config.min_speech_frames)
    end = len(path)
    latest = end - 1  # where the segment that ends there may begin
    silence, speech = (max(0.0, reach[latest]) for reach in best)
    kind = int(speech + sums[end] >= silence)
    while end > 0:
        begin = begins[kind][latest] if latest > 0 and best[kind][latest] > 0 else 0
        path[begin:end] = kind
        kind, end = 1 - kind, begin
        latest = end - durations[kind]
