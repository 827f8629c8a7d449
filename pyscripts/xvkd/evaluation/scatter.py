"""How far a speaker's utterances lie apart, measured by how far speakers do: on speakers that a model knows, and on
others.

A model that has memorised its speakers draws their utterances together in a way that it cannot repeat for new ones:
its embeddings of them show a student little of what it does with speech in general.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xvkd.backend.statistics import is_constant, mean_of
from xvkd.blocks import blocks
from xvkd.evaluation.bootstrap import draw_speakers, interval
from xvkd.evaluation.report import EvaluationConfig
from xvkd.kaldi.stored import Vectors


@dataclass(frozen=True, eq=False)
class Scatter:
    """What the embeddings of a set are, speaker by speaker, float64.

    Attributes:
        counts: (S,) utterances of each speaker.
        sums: (S, D) their sum.
        squares: (S,) the sum of their squared lengths.
        pairs: (S,) how many ordered pairs of them are of different sessions.
        distances: (S,) the sum of half the squared distance over these pairs.
    """

    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    pairs: np.ndarray
    distances: np.ndarray

    @classmethod
    def collect(
        cls, vectors: Vectors, speakers: np.ndarray, sessions: np.ndarray | None, mean: np.ndarray,
        scale: np.ndarray,
    ) -> "Scatter":  # fmt: skip
        """Gathers embeddings after ``(vectors - mean) * scale``, speaker by speaker.

        Args:
            vectors: (N, D), any floating type.
            speakers: (N,) integer speaker labels, any values.
            sessions: (N,) integer labels of their sessions; None where sessions are not known: each utterance counts
                as one.
            mean: (D,)
            scale: (D,)
        """
        sessions = np.arange(len(vectors)) if sessions is None else sessions
        order = np.lexsort((sessions, speakers))
        rows = []
        for members in np.split(order, np.flatnonzero(np.diff(speakers[order])) + 1):
            part = (vectors[members] - mean) * scale
            first = np.flatnonzero(np.diff(sessions[members], prepend=sessions[members[0]] - 1))
            sizes = np.diff(first, append=len(members))
            lengths = np.einsum("nd,nd->n", part, part)
            sums = np.add.reduceat(part, first)
            # The sum of |x - y|^2 over unordered pairs of n vectors is n times that of |x|^2 less |the sum of x|^2.
            within = sizes * np.add.reduceat(lengths, first) - np.einsum("nd,nd->n", sums, sums)
            total, squares = sums.sum(axis=0), lengths.sum()
            distances = len(members) * squares - total @ total - within.sum()
            rows.append((len(members), total, squares, len(members) ** 2 - (sizes**2).sum(), distances))
        return cls(*map(np.array, zip(*rows, strict=True)))

    def traces(self, copies: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Traces of the covariance within speakers and of that between speakers, both without bias.

        An utterance of speaker i is x = m + b_i + e, where b_i is drawn with the covariance S_b for a speaker, and e
        with S_w for a session or an utterance. Then half the squared distance has the expectation tr S_w between
        utterances of one speaker from different sessions, and tr S_w + tr S_b between utterances of two speakers. Its
        means over all such pairs are taken (U-statistics: Hoeffding, A class of statistics with asymptotically normal
        distribution, 1948): they have these expectations whatever the numbers of utterances and sessions. A ratio of
        the mean squares of a speaker's utterances and of speakers' means would not: utterances of one session are
        alike, so that the fewer sessions a speaker has, the smaller it comes out.

        Args:
            copies: (K, S) how often each speaker counts in each of K draws, as in ``SpeakerBootstrap``: copies of a
                speaker are not compared with each other. None: each once.

        Returns:
            tr S_w and tr S_b, (K,), or (1,) without draws; NaN where there are no such pairs.
        """
        copies = np.ones((1, len(self.counts))) if copies is None else copies.astype(np.float64)
        twice = copies**2
        sums = copies @ self.sums
        lengths = np.einsum("sd,sd->s", self.sums, self.sums)
        apart = (copies @ self.counts) * (copies @ self.squares) - np.einsum("kd,kd->k", sums, sums)
        apart -= twice @ (self.counts * self.squares - lengths)
        with np.errstate(divide="ignore", invalid="ignore"):
            within = copies @ self.distances / (copies @ self.pairs)
            return within, apart / ((copies @ self.counts) ** 2 - twice @ self.counts**2) - within

    def ratio(self, copies: np.ndarray | None = None) -> np.ndarray:
        """tr S_w / tr S_b of ``traces``; NaN where it is no positive number."""
        within, between = self.traces(copies)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = within / between
        return np.where(np.isfinite(ratio) & (ratio > 0), ratio, np.nan)


def session_labels(utterances: Sequence[str], speakers: np.ndarray, utt2session: Mapping[str, str]
                   ) -> np.ndarray | None:
    """Numbers the sessions of utterances, (N,) integers; None where no speaker has two.

    Args:
        utterances: N ids.
        speakers: (N,) integer labels.
        utt2session: utterances that it lacks are of one session.
    """
    sessions = np.unique([utt2session.get(utterance, "") for utterance in utterances], return_inverse=True)[1]
    known = len(np.unique(np.stack([speakers, sessions]), axis=1).T) > len(np.unique(speakers))
    return sessions if known else None


def normalisation(vectors: Vectors) -> tuple[np.ndarray, np.ndarray]:
    """The mean (D,) and the inverse of the standard deviation (D,) of vectors (N, D), in bounded memory.

    They are those that make targets of the training set; a dimension that never varies has 0 for an inverse.
    """
    mean = mean_of(vectors)
    squares = np.zeros(len(mean))
    for block in blocks(len(vectors)):
        squares += ((vectors[block] - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(squares / len(vectors))
    constant = is_constant(deviation, mean)
    return mean, np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation))


def generalisation(
    seen: Scatter, others: Mapping[str, Scatter], config: EvaluationConfig
) -> dict[str, dict[str, dict[str, Any]]]:
    """Compares the ratio of scatter within speakers to that between speakers on known speakers and on others.

    Args:
        seen: of the speakers that a model was trained on.
        others: of sets of other speakers, normalised as ``seen`` is.
        config: the draws of the bootstrap over speakers, and the intervals' confidence.

    Returns:
        "seen": ``speakers``, ``utterances``, ``ratio`` and ``ratio_ci``; "unseen": the same for each set, and the
        ``quotient`` of its ratio by that of ``seen`` with ``quotient_ci``: 1 for a model that treats new speakers as
        those it knows. None for what is no positive number.
    """
    about, known, known_draws = _describe(seen, config, config.bootstrap_seed)
    found: dict[str, dict[str, Any]] = {"seen": about, "unseen": {}}
    for name, scatter in others.items():
        about, ratio, draws = _describe(scatter, config, config.bootstrap_seed + 1)
        about["quotient"], about["quotient_ci"] = _plain(ratio / known), interval(
            draws / known_draws, config.confidence
        )  # fmt: skip
        found["unseen"][name] = about
    return found


def _describe(scatter: Scatter, config: EvaluationConfig, seed: int) -> tuple[dict[str, Any], float, np.ndarray]:
    """The figures of one set, its ratio, and the ratio in each draw."""
    (ratio,) = scatter.ratio()
    draws = scatter.ratio(draw_speakers(len(scatter.counts), config.bootstrap_draws, seed))
    about = {
        "speakers": len(scatter.counts), "utterances": int(scatter.counts.sum()), "ratio": _plain(ratio),
        "ratio_ci": interval(draws, config.confidence),
    }  # fmt: skip
    return about, ratio, draws


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
