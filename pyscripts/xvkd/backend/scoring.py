"""Scores of trials between enrolled models and test utterances."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from xvkd.backend.backend import SCORINGS, Backend, BackendConfig
from xvkd.backend.products import pair_products
from xvkd.backend.transforms import length_normalise
from xvkd.errors import UserError

TRIALS_AT_ONCE = 1 << 20


def score(
    scoring: str,
    backend: Backend,
    config: BackendConfig,
    enrolments: Sequence[tuple[str, Sequence[int]]],
    embeddings: np.ndarray,
    enrol_index: np.ndarray,
    test_index: np.ndarray,
) -> np.ndarray:
    """Scores trials. A model is the mean of its utterances' raw embeddings, as in Kaldi's recipes.

    Args:
        scoring: "cosine", of embeddings less the back end's mean; "lda_cosine", after LDA; or
            "plda", the log-likelihood ratio of Kaldi's ``ivector-plda-scoring --num-utts``.
        backend: of the same model and level as the embeddings.
        config: says how PLDA normalises length, and its smoothing.
        enrolments: each model's id and the rows of its enrolment utterances in ``embeddings``.
        embeddings: (N, D) raw embeddings of enrolment and test utterances.
        enrol_index: (T,) each trial's place in ``enrolments``.
        test_index: (T,) each trial's row in ``embeddings``.

    Returns:
        (T,) float64; larger is more alike. Cosines lie in [-1, 1].

    Raises:
        UserError: an unknown scoring, a model without utterances, embeddings of another dimension.
    """
    if scoring not in SCORINGS:
        raise UserError(f"'{scoring}': no such scoring (there are: {', '.join(SCORINGS)})")
    models = _average(enrolments, embeddings)
    if scoring == "plda":
        plda = backend.plda.smooth(config.smoothing)
        flags = (config.normalize_length, config.simple_length_normalization)
        num_utts = np.array([len(rows) for _, rows in enrolments])
        enrol = plda.transform_vectors(backend.project(models), num_utts, *flags)
        test = plda.transform_vectors(backend.project(embeddings), 1, *flags)
        return plda.score_trials(enrol, num_utts, test, enrol_index, test_index, TRIALS_AT_ONCE)
    prepare = backend.project if scoring == "lda_cosine" else lambda x: length_normalise(backend.centre(x))
    enrol, test = prepare(models), prepare(embeddings)
    # Their length is sqrt(dimension).
    return pair_products(enrol / test.shape[1], test, enrol_index, test_index, TRIALS_AT_ONCE)


def _average(enrolments: Sequence[tuple[str, Sequence[int]]], embeddings: np.ndarray) -> np.ndarray:
    """(M, D) float64: the mean of each model's embeddings."""
    counts = np.array([len(rows) for _, rows in enrolments], dtype=np.int64)
    if not enrolments:
        raise UserError("no models are enrolled; the list of trials is empty")
    if not counts.all():
        model = enrolments[int(np.argmin(counts))][0]
        raise UserError(f"model '{model}' has no enrolment utterance; give it one or drop its trials")
    columns = np.concatenate([np.asarray(rows, dtype=np.int64) for _, rows in enrolments])
    weights = sparse.csr_array(
        (np.repeat(1 / counts, counts), columns, np.append(0, np.cumsum(counts))),
        (len(enrolments), len(embeddings)),
    )
    return weights @ embeddings.astype(np.float64)
