"""Scores of whole chains against Kaldi's, and the back end's folder."""

import dataclasses
import gzip

import kaldiio
import numpy as np
import pytest
from scipy.stats import norm

from xvkd.backend import scoring as scoring_module
from xvkd.backend.backend import SCORINGS, Backend, BackendConfig, ScoringConfig
from xvkd.backend.plda import Plda
from xvkd.backend.scoring import TRIALS_AT_ONCE, Scorer, average
from xvkd.backend.transforms import apply_affine, length_normalise
from xvkd.config import load
from xvkd.errors import UserError
from xvkd.evaluation.metrics import eer, min_dcf
from xvkd.kaldi.archives import read_matrix, read_vector
from xvkd.kaldi.plda_format import read_plda


@pytest.fixture(scope="session")
def config(golden):
    return load(BackendConfig, golden.parent.parent / "conf" / "backend.yaml")


def load_kaldis(folder):
    """The back end that Kaldi trained: its files have other names than ours."""
    mean, transform = read_vector(folder / "mean.vec"), read_matrix(folder / "transform.txt")
    return Backend(mean, transform, Plda(*read_plda(folder / "plda")))


class Evaluation:
    """Kaldi's eval embeddings, models and one of its score files."""

    def __init__(self, eval_ark, enroll_spk2utt, scores):
        vectors = dict(kaldiio.load_ark(str(eval_ark)))
        self.rows = {key: row for row, key in enumerate(vectors)}
        self.embeddings = np.stack(list(vectors.values()))
        if enroll_spk2utt is None:
            self.enrolments = [(key, [row]) for key, row in self.rows.items()]
        else:
            lines = [line.split() for line in enroll_spk2utt.read_text().splitlines()]
            self.enrolments = [(model, [self.rows[key] for key in keys]) for model, *keys in lines]
        places = {model: place for place, (model, _) in enumerate(self.enrolments)}
        with (gzip.open if scores.suffix == ".gz" else open)(scores, "rt") as file:
            trials = [line.split() for line in file]
        self.models = np.array([places[model] for model, _, _ in trials])
        self.tests = np.array([self.rows[key] for _, key, _ in trials])
        self.kaldis = np.array([float(value) for _, _, value in trials])
        self.is_target = np.array([model[:6] == key[:6] for model, key, _ in trials])

    def score(self, scoring, backend, config):
        scorer = Scorer.of(scoring, backend, None, config)
        models = scorer.models(*average(self.enrolments, self.embeddings))
        return models.score_trials(scorer.tests(self.embeddings), self.models, self.tests, TRIALS_AT_ONCE)


@pytest.fixture(scope="session")
def evaluation(golden):
    folder = golden / "kaldi"
    return Evaluation(folder / "eval.ark", folder / "enroll_spk2utt", folder / "scores_numutts.gz")


def train_data(golden):
    train = dict(kaldiio.load_ark(str(golden / "kaldi" / "train.ark")))
    return np.stack(list(train.values())), np.array([int(key[3:6]) for key in train])


def test_plda_scores_are_kaldis(golden, evaluation, config):
    ours = evaluation.score("plda", load_kaldis(golden / "kaldi"), config)
    np.testing.assert_allclose(ours, evaluation.kaldis, atol=2.1e-5)


def test_the_chain_from_raw_embeddings_is_kaldis(golden, evaluation, config):
    """Mean, LDA and PLDA all trained here."""
    backend = Backend.train(*train_data(golden), 32, 512, 0.0, 10)
    ours = evaluation.score("plda", backend, config)
    np.testing.assert_allclose(ours, evaluation.kaldis, atol=5e-5)


@pytest.mark.parametrize(
    ("file", "scoring", "changes", "tolerance"),
    [
        ("scores_numutts", "plda", {}, 2.1e-5),
        ("scores_numutts_noln", "plda", {"normalize_length": False}, 3e-5),
        ("scores_numutts_adapt_default", "plda", {}, 2.1e-5),
        ("scores_utt", "plda", {}, 2.1e-5),
        ("scores_utt_cosine", "cosine", {}, 1e-6),
    ],
)
def test_all_of_kaldis_score_files_and_metrics(oracle, config, file, scoring, changes, tolerance):
    folder = oracle / "plda"
    enroll = None if file.startswith("scores_utt") else folder / "enroll_spk2utt"
    evaluation = Evaluation(folder / "eval.txt", enroll, folder / file)
    backend = load_kaldis(folder)
    if "adapt" in file:
        vectors = np.stack([vector for _, vector in kaldiio.load_ark(str(folder / "adapt.txt"))])
        adapted = backend.plda.adapt(backend.project(vectors), 0.3, 0.7, 1.0)
        backend = dataclasses.replace(backend, plda=adapted)
    ours = evaluation.score(scoring, backend, dataclasses.replace(config, **changes))
    np.testing.assert_allclose(ours, evaluation.kaldis, atol=tolerance)

    line = next(line for line in (folder / "metrics.txt").read_text().splitlines() if line.split()[0] == file)
    target, nontarget = ours[evaluation.is_target], ours[~evaluation.is_target]
    rate, threshold = eer(target, nontarget)
    assert f" EER% {float(f'{100 * rate:.4g}'):g} " in line
    assert abs(threshold - float(line.split("at threshold")[1].split()[0])) < 3e-5
    for p_target in (0.01, 0.05):
        cost, threshold = min_dcf(target, nontarget, p_target, 1, 1)
        assert f"minDCF is {cost:.4f} at threshold {threshold:.4f} (p-target={p_target}," in line


def test_scores_without_the_number_of_utterances_are_kaldis(oracle):
    folder = oracle / "plda"
    evaluation = Evaluation(folder / "eval.txt", folder / "enroll_spk2utt", folder / "scores_nonumutts")
    backend = load_kaldis(folder)
    averages = np.stack([evaluation.embeddings[rows].mean(0) for _, rows in evaluation.enrolments])
    enrol, test = (
        backend.plda.transform_vectors(backend.project(vectors), 1, True, False)
        for vectors in (averages, evaluation.embeddings)
    )
    models = backend.plda.models(enrol, np.ones(len(enrol), int))
    ours = models.score_trials(test, evaluation.models, evaluation.tests, 1000)
    np.testing.assert_allclose(ours, evaluation.kaldis, atol=2.1e-5)


def test_cosines_of_averaged_enrolments(golden, evaluation, config):
    """Against one trial after the other; the average is of raw embeddings."""
    backend = load_kaldis(golden / "kaldi")
    mean = backend.mean.astype(float)
    project = backend.transform[:, :64].astype(float)
    raw, lda = (evaluation.score(scoring, backend, config) for scoring in ("cosine", "lda_cosine"))
    for trial in range(0, len(raw), 97):
        model = evaluation.embeddings[evaluation.enrolments[evaluation.models[trial]][1]].mean(0) - mean
        test = evaluation.embeddings[evaluation.tests[trial]] - mean
        for ours, u, t in ((raw, model, test), (lda, project @ model, project @ test)):
            expected = u @ t / np.linalg.norm(u) / np.linalg.norm(t)
            np.testing.assert_allclose(ours[trial], expected, atol=1e-6)


def test_smoothing_reaches_the_scores(golden, evaluation, config):
    backend = load_kaldis(golden / "kaldi")
    smoothed = dataclasses.replace(backend, plda=backend.plda.smooth(0.1))
    ours = evaluation.score("plda", backend, dataclasses.replace(config, smoothing=0.1))
    np.testing.assert_array_equal(ours, evaluation.score("plda", smoothed, config))
    assert np.abs(ours - evaluation.kaldis).max() > 0.1


def test_vectors_without_a_back_end_are_taken_as_they_are(golden, evaluation, config):
    """As Kaldi's program takes them: after mean, LDA and length normalisation; its simple length normalisation."""
    backend = load_kaldis(golden / "kaldi")
    averages, num_utts = average(evaluation.enrolments, evaluation.embeddings)
    enrol, test, plda = backend.project(averages), backend.project(evaluation.embeddings), backend.plda
    given = enrol.copy(), test.copy()
    scorer = Scorer.of("plda", None, plda, config)
    ours = scorer.models(enrol, num_utts).score_trials(scorer.tests(test), evaluation.models, evaluation.tests, 999)
    np.testing.assert_allclose(ours, evaluation.kaldis, atol=2.1e-5)
    np.testing.assert_array_equal(enrol, given[0])
    np.testing.assert_array_equal(test, given[1])

    scorer = Scorer.of("plda", None, plda, ScoringConfig(True, True, 0.0))
    ours = scorer.models(enrol, num_utts).score_trials(scorer.tests(test), evaluation.models, evaluation.tests, 999)
    scaled = [v / np.linalg.norm(v, axis=1, keepdims=True) * np.sqrt(32) for v in (
        (enrol - plda.mean) @ plda.transform.T, (test - plda.mean) @ plda.transform.T
    )]  # fmt: skip
    for trial in range(0, len(ours), 97):
        n = num_utts[evaluation.models[trial]]
        u, t = scaled[0][evaluation.models[trial]], scaled[1][evaluation.tests[trial]]
        given_model = norm(n * plda.psi / (n * plda.psi + 1) * u, np.sqrt(1 + plda.psi / (n * plda.psi + 1)))
        expected = np.sum(given_model.logpdf(t) - norm(0, np.sqrt(1 + plda.psi)).logpdf(t))
        np.testing.assert_allclose(ours[trial], expected, rtol=1e-9, atol=1e-9)

    scorer = Scorer.of("cosine", None, None, config)
    ours = scorer.models(enrol, num_utts).score_matrix(scorer.tests(test))
    np.testing.assert_allclose(ours[3, 7], enrol[3] @ test[7] / np.linalg.norm(enrol[3]) / np.linalg.norm(test[7]))


def test_memory_is_worked_on_in_blocks(golden, evaluation, config, monkeypatch):
    """The same scores from blocks that do not divide the numbers of models and utterances."""
    backend = load_kaldis(golden / "kaldi")
    monkeypatch.setattr(scoring_module, "VECTORS_AT_ONCE", 7)
    np.testing.assert_allclose(evaluation.score("plda", backend, config), evaluation.kaldis, atol=2.1e-5)


def test_a_saved_back_end_scores_as_before(golden, evaluation, config, tmp_path):
    backend = Backend.train(*train_data(golden), 32, 512, 0.0, 10)
    backend.save(tmp_path / "backend")
    loaded = Backend.load(tmp_path / "backend")
    for scoring in SCORINGS:
        ours, before = (evaluation.score(scoring, one, config) for one in (loaded, backend))
        np.testing.assert_allclose(ours, before, rtol=1e-9)
    assert kaldiio.load_mat(str(tmp_path / "backend" / "transform.mat")).shape == (32, 65)


def test_projection_is_mean_lda_and_length(golden):
    backend, (vectors, _) = load_kaldis(golden / "kaldi"), train_data(golden)
    step_by_step = length_normalise(apply_affine(backend.transform, vectors.astype(float) - backend.mean))
    np.testing.assert_allclose(backend.project(vectors), step_by_step, atol=1e-10)
    linear = dataclasses.replace(backend, transform=backend.transform[:, :64])
    np.testing.assert_allclose(linear.project(vectors), step_by_step, atol=1e-5)


def test_what_does_not_fit_is_told(golden, evaluation, config, tmp_path):
    backend, embeddings = load_kaldis(golden / "kaldi"), evaluation.embeddings
    with pytest.raises(UserError, match="64-dimensional embeddings, these are 200 x 63"):
        Scorer.of("plda", backend, None, config).tests(embeddings[:, 1:])
    with pytest.raises(UserError, match="model 'm' has no enrolment"):
        average([("m", [])], embeddings)
    with pytest.raises(UserError, match="no models are enrolled"):
        average([], embeddings)
    for scoring, message in [("plda", "takes a PLDA model or a back"), ("lda_cosine", "takes the LDA of a back")]:
        with pytest.raises(UserError, match=message):
            Scorer.of(scoring, None, None, config)
    small = Plda(np.zeros(3), np.eye(3), np.ones(3))
    with pytest.raises(UserError, match="its LDA gives 32 dimensions, the PLDA model takes 3"):
        Scorer.of("plda", backend, small, config)
    with pytest.raises(UserError, match="'dot'.*cosine, lda_cosine, plda"):
        evaluation.score("dot", backend, config)
    backend.save(tmp_path)
    (tmp_path / "mean.vec").write_bytes((golden / "kaldi" / "plda").read_bytes())
    with pytest.raises(UserError, match="mean.vec"):
        Backend.load(tmp_path)
    dataclasses.replace(backend, plda=backend.plda).save(tmp_path)
    (tmp_path / "transform.mat").unlink()
    with pytest.raises(UserError, match="transform.mat.*No such file"):
        Backend.load(tmp_path)
    with pytest.raises(UserError, match="do not fit: mean.vec has 60"):
        dataclasses.replace(backend, mean=backend.mean[:60])


def test_impossible_configurations_are_told(golden):
    file = golden.parent.parent / "conf" / "backend.yaml"
    for override, message in [
        ("lda_dim=0", "lda_dim"),
        ("lda_dim=600", "cannot exceed pca_dim"),
        ("scorings=[cosine,dot]", "dot"),
        ("scorings=[plda,plda]", "once"),
        ("total_covariance_factor=1.5", "total_covariance_factor"),
    ]:
        with pytest.raises(UserError, match=message):
            load(BackendConfig, file, [override])
