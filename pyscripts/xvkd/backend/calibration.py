"""Calibration: scores made log-likelihood ratios by logistic regression."""

import logging
from dataclasses import dataclass

import numpy as np

from xvkd.errors import UserError

MAX_ITERATIONS = 100
# Newton's method has converged where a step promises less than this of the loss, which is at most about 0.7.
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Calibration:
    """log-likelihood ratio = scale x score + offset, natural logarithm."""

    scale: float
    offset: float

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Scores to log-likelihood ratios, of the same shape."""
        return self.scale * scores + self.offset

    @classmethod
    def train(cls, target: np.ndarray, nontarget: np.ndarray, prior: float) -> "Calibration":
        """Minimises the prior-weighted cross-entropy (Brümmer's FoCal), by Newton's method.

        The loss is ``prior mean(log(1 + exp(-z)))`` over target trials plus ``(1 - prior)
        mean(log(1 + exp(z)))`` over nontarget trials, z being the log-likelihood ratio plus
        logit(prior). Nothing else is added, except where the scores do not overlap and no scale
        is large enough: there one trial of each kind is made up, with the mean score of the other.

        Args:
            target: scores of target trials.
            nontarget: scores of nontarget trials.
            prior: of a target trial, between 0 and 1: where the ratios have to be best.

        Raises:
            UserError: one of the lists is empty, or has NaN or infinite scores.
        """
        # scipy takes longer to import than calibrated scores take, which have no need of it.
        from scipy.special import logit

        for scores, kind in ((target, "target"), (nontarget, "nontarget")):
            if not len(scores) or not np.isfinite(scores).all():
                raise UserError(f"calibration: {kind} trials with finite scores are needed; score again")
        if target.min() >= nontarget.max() or target.max() <= nontarget.min():
            logging.warning("calibration: target and nontarget scores do not overlap; one error of each is made up")
            target, nontarget = np.append(target, nontarget.mean()), np.append(nontarget, target.mean())
        scores = np.concatenate([target, nontarget])
        centre, spread = scores.mean(), scores.std()
        if not spread > 0:
            return cls(0.0, 0.0)  # equal scores say nothing
        labels = np.repeat([1.0, 0.0], [len(target), len(nontarget)])
        weights = np.repeat([prior / len(target), (1 - prior) / len(nontarget)], [len(target), len(nontarget)])
        scale, offset = _logistic_regression((scores - centre) / spread, labels, weights, logit(prior))
        return cls(float(scale / spread), float(offset - scale * centre / spread))


def _logistic_regression(inputs: np.ndarray, labels: np.ndarray, weights: np.ndarray, bias: float) -> np.ndarray:
    """(scale, offset) with the least ``sum_i weights_i log(1 + exp(-+(scale inputs_i + offset + bias)))``."""
    from scipy.special import expit

    signs = 1 - 2 * labels

    def loss(parameters: np.ndarray) -> float:
        return float(weights @ np.logaddexp(0, signs * (parameters[0] * inputs + parameters[1] + bias)))

    parameters = np.zeros(2)
    current = loss(parameters)
    for _ in range(MAX_ITERATIONS):
        posteriors = expit(parameters[0] * inputs + parameters[1] + bias)
        errors, curvature = weights * (posteriors - labels), weights * posteriors * (1 - posteriors)
        gradient = np.array([errors @ inputs, errors.sum()])
        mixed = curvature @ inputs
        hessian = np.array([[curvature @ inputs**2, mixed], [mixed, curvature.sum()]])
        step = np.linalg.solve(hessian, gradient)
        if gradient @ step < TOLERANCE:
            break
        while (new := loss(parameters - step)) > current:
            step /= 2
        parameters, current = parameters - step, new
    return parameters
