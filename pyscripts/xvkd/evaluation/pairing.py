"""Scoring a list where models and test utterances have embeddings of their own: shorter ones, or another model's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xvkd.backend.backend import NORMALISED, Backend, BackendConfig
from xvkd.backend.score_normalisation import Cohort
from xvkd.backend.scoring import TRIALS_AT_ONCE, Scorer, average
from xvkd.errors import UserError
from xvkd.kaldi.archives import read_vectors
from xvkd.kaldi.trials import Trials


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The embeddings of a set.

    Attributes:
        script: the file that names them.
        rows: utterance to row.
        vectors: (N, D).
    """

    script: Path
    rows: Mapping[str, int]
    vectors: np.ndarray

    @classmethod
    def read(cls, script: Path) -> "Embeddings":
        """Reads a script file's vectors; raises as ``read_vectors``."""
        utterances, vectors = read_vectors(script)
        return cls(script, {utterance: row for row, utterance in enumerate(utterances)}, vectors)

    def places(self, utterances: Sequence[str]) -> list[int]:
        """The rows of utterances; UserError where one is missing."""
        try:
            return [self.rows[utterance] for utterance in utterances]
        except KeyError as error:
            raise UserError(
                f"{error} has no embedding in {self.script}; remove its trials, or add it to the data directory and "
                "repeat from stage 3"
            ) from None


@dataclass(frozen=True, eq=False)
class Pairing:
    """What a list is scored with.

    Attributes:
        name: "" for a system as it is.
        enrol: of the models' utterances.
        test: of the test utterances, in the same space.
        backend: of that space.
    """

    name: str
    enrol: Embeddings
    test: Embeddings
    backend: Backend

    def score(
        self, scorings: Sequence[str], options: BackendConfig, cohort: Cohort | None,
        members: Mapping[str, Sequence[str]], trials: Trials,
    ) -> Iterator[tuple[str, np.ndarray]]:  # fmt: skip
        """Scores a list in all ways that are asked for.

        Args:
            scorings: their names.
            options: how it is done.
            cohort: for those with AS-norm, of the same space.
            members: the enrolment utterances of each model.
            trials: T of them.

        Yields:
            The scoring and its scores (T,).

        Raises:
            UserError: an utterance without an embedding, or embeddings and back end of different dimensions.
        """
        enrolments = [(model, self.enrol.places(members[model])) for model in trials.models]
        averages, num_utts = average(enrolments, self.enrol.vectors)
        vectors = self.test.vectors[self.test.places(trials.tests)]
        for base in dict.fromkeys(NORMALISED.get(scoring, scoring) for scoring in scorings):
            scorer = Scorer.of(base, self.backend, None, options)
            tests = scorer.tests(vectors)
            scores = scorer.models(averages, num_utts).score_trials(tests, trials.model, trials.test, TRIALS_AT_ONCE)
            for scoring in scorings:
                if scoring == base:
                    yield scoring, scores
                elif NORMALISED.get(scoring) == base:
                    yield scoring, cohort.normalise(
                        scores, scorer, averages, num_utts, tests, trials.model, trials.test
                    )  # fmt: skip


def read_pairings(own: Pairing, asked: Sequence[tuple[str, str, str, str]]) -> list[Pairing]:
    """A system as it is, and what else is asked for, each file read once.

    Args:
        own: the system.
        asked: name, enrolment and test script, and back end of each further pairing.

    Raises:
        UserError: a file is missing or damaged.
    """
    tables, backends = {own.test.script: own.test}, {own.backend.name: own.backend}
    found = [own]
    for name, enrol, test, backend in asked:
        for script in map(Path, (enrol, test)):
            if script not in tables:
                tables[script] = Embeddings.read(script)
        if backend not in backends:
            backends[backend] = Backend.load(backend)
        found.append(Pairing(name, tables[Path(enrol)], tables[Path(test)], backends[backend]))
    return found
