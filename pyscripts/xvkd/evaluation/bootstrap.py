"""Bootstrap over speakers: how far figures would move with other speakers.

A draw takes as many speakers as there are, with replacement; speaker i comes out m_i times. A target trial of
speaker i then counts m_i times, a nontarget trial of speakers i and j m_i m_j times: as if each copy of a speaker
were a new one with the same recordings, and no copy were tried against another of the same speaker.
"""

import functools
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from xvkd.blocks import blocks
from xvkd.errors import UserError
from xvkd.evaluation.metrics import Losses, step_search

# The EER of every draw is looked for where misses and false alarms of the list itself differ by no more than this
# many times what they differ by in any draw at the list's own EER; that is doubled until all are found.
MARGIN = 1.25
# Trials times draws that are counted at once: few enough for the processor's cache, unless the draws were too few.
CELLS = 1 << 18
LEAST_DRAWS, MOST_DRAWS = 8, 64
# A product with a full matrix takes as long as with a sparse one that has about this share of its cells.
DENSE_SHARE = 0.05


class SpeakerBootstrap:
    """The draws for a list of trials: a function of the seed and of the list's speakers in sorted order.

    Args:
        model_speakers: the speaker of each of M models.
        test_speakers: the speaker of each of N test utterances.
        model: (T,) each trial's model.
        test: (T,) each trial's test utterance.
        target: (T,) bool.
        draws: how many draws, at least 1.
        seed: of the draws.

    Raises:
        UserError: a target trial of two speakers, or a nontarget trial of one.

    Attributes:
        key: equal for lists that the same draws were made for, so that systems can be compared draw by draw.
    """

    def __init__(
        self, model_speakers: Sequence[str], test_speakers: Sequence[str], model: np.ndarray, test: np.ndarray,
        target: np.ndarray, draws: int, seed: int,
    ) -> None:  # fmt: skip
        names, numbers = np.unique([*model_speakers, *test_speakers], return_inverse=True)
        numbers = numbers.astype(np.int32)
        left, right = numbers[: len(model_speakers)][model], numbers[len(model_speakers) :][test]
        wrong = (left == right) != target
        if wrong.any():
            first = int(np.argmax(wrong))
            raise UserError(
                f"trial {first + 1} is a {'' if target[first] else 'non'}target trial of the speakers "
                f"'{names[left[first]]}' and '{names[right[first]]}'; mend the list of trials or utt2spk"
            )
        self._names, self._sides, self._seed = names, (left, right), seed
        self._target, self._speaker, self._pair = target, left[target], (left[~target], right[~target])
        counts = draw_speakers(len(names), draws, seed)
        self.key = hashlib.sha256("\n".join(names).encode() + counts.astype("<i4").tobytes()).hexdigest()
        self._counts = counts.T.astype(np.float64)
        targets, nontargets = self._sum_targets(), self._sum_nontargets()
        # Draws of so few speakers that a kind of trials is missing have no error rate.
        self._usable = (targets > 0) & (nontargets > 0)
        self._totals = targets[self._usable], nontargets[self._usable]
        self._counts = np.ascontiguousarray(self._counts[:, self._usable])

    def only(self, chosen: np.ndarray) -> "SpeakerBootstrap":
        """As many draws for some of the trials, (T,) bool: of those speakers that these have."""
        left, right = (side[chosen] for side in self._sides)
        used = (np.bincount(left, minlength=len(self._names)) + np.bincount(right, minlength=len(self._names))) > 0
        number = np.cumsum(used) - 1
        names = self._names[used]
        return SpeakerBootstrap(
            names, names, number[left], number[right], self._target[chosen], len(self._usable), self._seed
        )  # fmt: skip

    def eer(self, scores: np.ndarray) -> np.ndarray:
        """The EER of each draw: ``metrics.eer`` of trials that stand in the list as often as they count.

        Args:
            scores: (T,) without NaN.

        Returns:
            (draws,) fractions; NaN where a draw leaves no target trials or no nontarget trials.
        """
        if not self._usable.any():
            return self._all_draws(np.empty(0))
        target, nontarget = scores[self._target], scores[~self._target]
        order, others = np.argsort(target), np.argsort(nontarget)
        target = target[order]
        # How many nontarget scores lie below each target score.
        place = np.searchsorted(nontarget[others], target)
        # Misses less false alarms, as shares, with each target score for the threshold: ascending.
        gaps = np.arange(len(target)) / len(target) - (1 - place / len(nontarget))
        middle = min(int(np.searchsorted(gaps, 0)), len(gaps) - 1)
        misses = self._sum_targets(order[:middle]) / self._totals[0]
        alarms = self._sum_nontargets(others[place[middle] :]) / self._totals[1]
        margin = MARGIN * np.abs(misses - alarms).max() + 2 / len(target)
        while True:
            first, end = int(np.searchsorted(gaps, -margin)), int(np.searchsorted(gaps, margin))
            step, rates = self._search(order, others, place, first, end)
            if (first == 0 or step.all()) and (end == len(order) or (step < end - first).all()):
                return self._all_draws(rates)
            margin *= 2

    def _search(
        self, order: np.ndarray, others: np.ndarray, place: np.ndarray, first: int, end: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """``step_search`` through the target trials from ``first`` to before ``end``, for all draws."""
        missed = self._sum_targets(order[:first])
        accepted = self._sum_nontargets(others[place[end - 1] :])
        speaker = self._speaker[order[first:end]]
        left, right = (side[others[place[first] : place[end - 1]]] for side in self._pair)
        behind = place[first:end] - place[first]
        parts = []
        at_once = min(max(CELLS // (len(left) + 1), LEAST_DRAWS), MOST_DRAWS)
        for block in blocks(self._counts.shape[1], at_once):
            counts = self._counts[:, block].astype(np.int32)
            below = _running_sums(counts[speaker]) + missed[block]
            rejected = _running_sums(counts[left] * counts[right])
            alarms = (rejected[-1] + accepted[block]) - rejected[behind]
            parts.append(step_search(below, alarms, *(total[block] for total in self._totals)))
        return np.concatenate([step for step, _ in parts]), np.concatenate([rates for _, rates in parts])

    def cost(self, losses: Losses) -> np.ndarray:
        """``metrics.cost``, such as Cllr or actDCF, of each draw.

        Args:
            losses: those of the list's target trials, and those of its nontarget trials.

        Returns:
            (draws,); NaN where a draw leaves no target trials or no nontarget trials.
        """
        target, nontarget = losses
        misses = self._sum_targets(values=target) / self._totals[0]
        return self._all_draws(misses + self._sum_nontargets(values=nontarget) / self._totals[1])

    def _sum_targets(self, chosen: np.ndarray | slice = slice(None), values: np.ndarray | None = None) -> np.ndarray:
        """Each draw's count of some target trials, or its sum of their values."""
        return np.bincount(self._speaker[chosen], values, len(self._counts)) @ self._counts

    def _sum_nontargets(self, chosen: np.ndarray | slice = slice(None), values: np.ndarray | None = None) -> np.ndarray:
        """The same of nontarget trials."""
        left, right = (side[chosen] for side in self._pair)
        size = len(self._counts)
        pairs = sparse.coo_array(
            (np.ones(len(left)) if values is None else values, (left, right)), (size, size)
        ).tocsr()  # fmt: skip
        if pairs.nnz > DENSE_SHARE * size**2:
            pairs = pairs.toarray()
        return np.einsum("sk,sk->k", pairs @ self._counts, self._counts)

    def _all_draws(self, figures: np.ndarray) -> np.ndarray:
        """The figures of the usable draws, with NaN for the others."""
        every = np.full(len(self._usable), np.nan)
        every[self._usable] = figures
        return every


@functools.lru_cache(maxsize=4)
def draw_speakers(speakers: int, draws: int, seed: int) -> np.ndarray:
    """How often each speaker comes out of each draw, (draws, speakers): a function of the arguments."""
    counts = np.random.default_rng(seed).multinomial(speakers, np.full(speakers, 1 / speakers), draws)
    counts.flags.writeable = False
    return counts


def _running_sums(counts: np.ndarray) -> np.ndarray:
    """(n + 1, K) int32: the sum of the rows before each row, and of all."""
    sums = np.zeros((len(counts) + 1, counts.shape[1]), np.int32)
    np.cumsum(counts, axis=0, out=sums[1:])
    return sums


def speakers_of(members: Mapping[str, Sequence[str]], utt2spk: Mapping[str, str]) -> list[str]:
    """The speaker of each model, which all of its enrolment utterances must share.

    Args:
        members: model to utterances.
        utt2spk: utterance to speaker.

    Raises:
        UserError: an utterance without a speaker, or a model of several.
    """
    speakers = []
    for model, utterances in members.items():
        for utterance in utterances:
            if utterance not in utt2spk:
                raise UserError(f"utterance '{utterance}' has no speaker; add it to utt2spk")
            if utt2spk[utterance] != utt2spk[utterances[0]]:
                raise UserError(
                    f"model '{model}' is enrolled from '{utterances[0]}' and '{utterance}', of two speakers; enrol "
                    "it from one"
                )
        speakers.append(utt2spk[utterances[0]])
    return speakers


def interval(draws: np.ndarray, confidence: float) -> list[float] | None:
    """The percentile interval, which leaves as many draws below it as above it.

    Args:
        draws: figures of the draws; NaN where a draw has none.
        confidence: the share of draws that it holds, between 0 and 1.

    Returns:
        Its ends, or None where they are not finite numbers.
    """
    return quantiles(draws, [(1 - confidence) / 2, (1 + confidence) / 2])


def quantiles(draws: np.ndarray, shares: list[float]) -> list[float] | None:
    """Quantiles of the draws that have a figure; None if there are none, or one is not finite."""
    draws = draws[~np.isnan(draws)]
    if not draws.size:
        return None
    with np.errstate(invalid="ignore"):  # between infinities
        quantiles = np.quantile(draws, shares)
    return quantiles.tolist() if np.isfinite(quantiles).all() else None
