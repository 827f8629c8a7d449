"""Enrolment, verification and identification of speakers with an exported network."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from xvkd.backend.backend import PLDA
from xvkd.backend.plda import Plda
from xvkd.backend.scoring import Scorer
from xvkd.backend.transforms import length_normalise
from xvkd.deployment.decisions import DecisionRule, OperatingPoint, probabilities, probability
from xvkd.deployment.embedder import Embedder
from xvkd.deployment.store import ModelIdentity, Speaker, changing, find_speaker, read_store
from xvkd.errors import UserError
from xvkd.kaldi.plda_format import read_plda

CALIBRATION = "calibration.json"


@dataclass(frozen=True)
class Decision:
    """What is said about one speaker and one recording.

    Attributes:
        name: of the speaker.
        score: PLDA's log-likelihood ratio.
        llr: the score calibrated, natural logarithm: how much more probable the recording is if it is the speaker's.
        probability: that it is the speaker's, at ``prior``.
        prior: probability before the recording was heard. In identification it is that of all enrolled together.
        operating_point: its name.
        threshold: the score is accepted above it.
        accepted: whether it is. In identification only the best can be.
    """

    name: str
    score: float
    llr: float
    probability: float
    prior: float
    operating_point: str
    threshold: float
    accepted: bool


class Verifier:
    """Tells speakers apart by their voices.

    >>> from xvkd.deployment import Verifier
    >>> verifier = Verifier("student.onnx")
    >>> verifier.enrol("ALICE", ["alice1.wav", "alice2.wav"])
    2
    >>> verifier.enrol("BOB", ["bob1.wav"])
    1
    >>> verifier.verify("ALICE", "alice3.wav").accepted
    True
    >>> decision = verifier.verify("ALICE", "bob2.wav")
    >>> decision.accepted, decision.score > decision.threshold, decision.probability < 0.5
    (False, False, True)
    >>> [found.name for found in verifier.identify("bob2.wav") if found.accepted]
    ['BOB']
    >>> verifier.embed("alice3.wav").shape == (verifier.embedder.dim,)
    True

    With ``store="speakers.json"`` speakers are kept in that file, which the command ``xvkd`` shares: whatever is
    enrolled or removed is there at once, for all processes. Recordings are files of any format or arrays: float in
    [-1, 1], at ``verifier.embedder.sample_rate``. Everything that is wrong with what it is given is a
    ``xvkd.errors.UserError``, whose text is for the user.

    Args:
        model: the exported ONNX file, from the waveform. ``plda`` and ``calibration.json`` stand beside it.
        store: the file of speakers; None: they are kept in memory.
        operating_point: where scores are accepted: "eer", or a prior that the model was exported with ("0.01").
        prior: the probability, between 0 and 1, that a speaker speaks, before it was heard; None: that of the
            operating point.

    Attributes:
        embedder: the network.

    Raises:
        UserError: no such model, or one that is damaged or lacks something.
    """

    def __init__(
        self, model: str | Path, store: str | Path | None = None, operating_point: str = "eer",
        prior: float | None = None,
    ) -> None:  # fmt: skip
        if prior is not None and not 0 < prior < 1:
            raise UserError(f"prior {prior}: a probability has to be above 0 and below 1 here")
        self.embedder = Embedder(model)
        self._store, self._point_name, self._prior = store, operating_point, prior
        self._identity = ModelIdentity(str(self.embedder.path), self.embedder.sha256, self.embedder.dim)
        self._in_memory: dict[str, Speaker] = {}

    @cached_property
    def rule(self) -> DecisionRule:
        """What scores mean, from ``calibration.json``."""
        return DecisionRule.load(self.embedder.path.with_name(CALIBRATION))

    @cached_property
    def _point(self) -> OperatingPoint:
        return self.rule.point(self._point_name)

    @cached_property
    def _scorer(self) -> Scorer:
        """Length normalisation and PLDA: mean and LDA are folded into the network."""
        kind, dim = self.embedder.metadata.get("backend"), self.embedder.dim
        if kind != "plda":
            raise UserError(f"{self.embedder.path}: its back end is '{kind}', where plda is needed; export it again")
        path = self.embedder.path.with_name(PLDA)
        plda = Plda(*read_plda(path))
        if len(plda.mean) != dim:
            raise UserError(f"{path}: is for {len(plda.mean)} dimensions, {self.embedder.path.name} gives {dim}")
        return Scorer(dim, length_normalise, plda.smooth(self.rule.scoring.smoothing), self.rule.scoring)

    def embed(self, recording: str | Path | np.ndarray) -> np.ndarray:
        """The embedding of a recording, (D,) float32, as the network gives it: not normalised."""
        if isinstance(recording, np.ndarray):
            return self.embedder.embed(recording)
        return self.embedder.embed_file(recording)

    def names(self) -> list[str]:
        """Who is enrolled, sorted; UserError if the store is not there."""
        return sorted(self._speakers())

    def enrol(self, name: str, recordings: Sequence[str | Path | np.ndarray], add: bool = False) -> int:
        """Enrols a speaker: the mean of the recordings' embeddings, as in Kaldi's recipes.

        Args:
            name: any that can be printed.
            recordings: at least one.
            add: someone of this name is enrolled already, and gets these as well.

        Returns:
            how many recordings the speaker is enrolled with.

        Raises:
            UserError: the name is taken (or, with ``add``, is not), or a recording cannot be used; nobody is enrolled.
        """
        if not name.strip() or not name.isprintable():
            raise UserError(f"{name!r}: a speaker's name needs something to print, and no control characters")
        if isinstance(recordings, str | Path | np.ndarray) or not len(recordings):
            raise UserError(f"'{name}': is to be enrolled with a list of recordings, of one at least")
        embeddings = np.stack([self.embed(recording) for recording in recordings])
        with self._changing() as speakers:
            if add:
                speakers[name] = find_speaker(name, speakers, self._where()).with_more(embeddings)
            elif name in speakers:
                raise UserError(
                    f"{self._where()}: '{name}' is enrolled already; add to it with --add, or remove it first"
                )
            else:
                speakers[name] = Speaker(embeddings.mean(axis=0, dtype=np.float64), len(embeddings))
            return speakers[name].num_utts

    def remove(self, name: str) -> None:
        """Forgets a speaker; UserError if there is none of that name."""
        with self._changing() as speakers:
            find_speaker(name, speakers, self._where())
            del speakers[name]

    def verify(self, name: str, recording: str | Path | np.ndarray) -> Decision:
        """Is the recording of this speaker?

        Raises:
            UserError: nobody of that name is enrolled, or the recording cannot be used.
        """
        speaker = find_speaker(name, self._speakers(), self._where())
        point = self._point
        (score,) = self._scores([speaker], recording)
        ratio, prior = float(self.rule.calibration(score)), self._prior or point.prior
        return Decision(
            name, float(score), ratio, probability(ratio, prior), prior, point.name, point.threshold,
            bool(score > point.threshold),
        )  # fmt: skip

    def identify(self, recording: str | Path | np.ndarray) -> list[Decision]:
        """Which of the enrolled speakers is it, if any?

        Returns:
            all of them, the best first. Probabilities add up to at most 1: the rest is that of a stranger. The best is
            accepted if its score is above the threshold, which grows with the number of speakers.

        Raises:
            UserError: nobody is enrolled, or the recording cannot be used.
        """
        speakers = self._speakers()
        if not speakers:
            raise UserError(f"{self._where()}: nobody is enrolled; enrol someone first")
        point = self._point
        scores = self._scores(list(speakers.values()), recording)
        ratios, prior = self.rule.calibration(scores), self._prior or point.prior
        chances = probabilities(ratios, prior)
        threshold = self.rule.threshold_among(point, len(speakers))
        names, order = list(speakers), np.argsort(-scores, kind="stable")
        return [
            Decision(
                names[row], float(scores[row]), float(ratios[row]), float(chances[row]), prior, point.name, threshold,
                bool(rank == 0 and scores[row] > threshold),
            )
            for rank, row in enumerate(order)
        ]  # fmt: skip

    def _scores(self, speakers: Sequence[Speaker], recording: str | Path | np.ndarray) -> np.ndarray:
        """(M,) of M speakers and a recording."""
        scorer = self._scorer
        means = np.stack([speaker.mean for speaker in speakers])
        models = scorer.models(means, np.array([speaker.num_utts for speaker in speakers]))
        return models.score_matrix(scorer.tests(self.embed(recording)[None]))[:, 0]

    def _speakers(self) -> Mapping[str, Speaker]:
        return self._in_memory if self._store is None else read_store(self._store, self._identity).speakers

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Speaker]]:
        if self._store is None:
            yield self._in_memory
        else:
            with changing(self._store, self._identity) as speakers:
                yield speakers

    def _where(self) -> str:
        return "this verifier" if self._store is None else str(self._store)
