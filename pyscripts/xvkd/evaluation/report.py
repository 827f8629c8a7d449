"""The figures that are reported of a list of scores."""

from dataclasses import dataclass

import numpy as np

from xvkd.evaluation.bootstrap import SpeakerBootstrap, interval
from xvkd.evaluation.metrics import ErrorCurve, Losses, cllr_losses, cost, dcf_losses, eer
from xvkd.schema import limits

# Plain values for JSON: a number, an interval's two ends, or None where a draw of speakers leaves no trials.
Figures = dict[str, int | float | list[float] | None]


@dataclass
class EvaluationConfig:
    """Schema of ``conf/evaluation.yaml``, which says what each key means."""

    p_targets: list[float] = limits(1e-6, 0.999999)
    c_miss: float = limits(1e-6)
    c_fa: float = limits(1e-6)
    dev_set: str
    calibration_prior: float = limits(1e-6, 0.999999)
    primary_scoring: str
    bootstrap_draws: int = limits(low=1)
    bootstrap_seed: int = limits(low=0)
    confidence: float = limits(0.5, 0.999999)
    no_worse_ratio: float = limits(low=1)
    det_points: int = limits(low=2)
    duration_edges: list[float] = limits(low=0)
    snr_edges: list[float]
    condition_trials: int = limits(low=1)

    def validate(self) -> str | None:
        """What is wrong with the values taken together, or None."""
        for name in ("duration_edges", "snr_edges"):
            edges = getattr(self, name)
            if any(low >= high for low, high in zip(edges, edges[1:], strict=False)):
                return f"{name} must ascend: {edges}"
        return None

    def dcf_names(self, kind: str) -> list[str]:
        """The key of each cost of a kind, "mindcf" or "actdcf", such as mindcf_0.01."""
        return [f"{kind}_{p_target:g}" for p_target in self.p_targets]


def report(scores: np.ndarray, target: np.ndarray, config: EvaluationConfig) -> tuple[Figures, ErrorCurve]:
    """What scores of any scale are worth: EER in percent, minDCF at each prior, minCllr; and the DET curve.

    Args:
        scores: (T,).
        target: (T,) bool.
        config: priors and costs.

    Raises:
        UserError: target or nontarget trials are missing, or have NaN for a score.
    """
    targets, nontargets = scores[target], scores[~target]
    curve = ErrorCurve.of(targets, nontargets)
    figures: Figures = {"trials": len(scores), "eer_percent": 100 * eer(targets, nontargets)[0]}
    for name, p_target in zip(config.dcf_names("mindcf"), config.p_targets, strict=True):
        figures[name] = curve.min_dcf(p_target, config.c_miss, config.c_fa)[0]
    figures["min_cllr"] = curve.min_cllr()
    return figures, curve.det_points(config.det_points)


def report_calibrated(
    ratios: np.ndarray, target: np.ndarray, config: EvaluationConfig, bootstrap: SpeakerBootstrap
) -> Figures:
    """What log-likelihood ratios are worth to who decides by them: Cllr, actDCF at each prior, their intervals.

    Args:
        ratios: (T,) natural logarithms.
        target: (T,) bool.
        config: priors, costs and the intervals' confidence.
        bootstrap: the draws of the list's speakers.
    """
    targets, nontargets = ratios[target], ratios[~target]
    figures: Figures = {}

    def add(name: str, losses: Losses) -> None:
        figures[name] = cost(losses)
        figures[f"{name}_ci"] = interval(bootstrap.cost(losses), config.confidence)

    add("cllr", cllr_losses(targets, nontargets))
    for name, p_target in zip(config.dcf_names("actdcf"), config.p_targets, strict=True):
        add(name, dcf_losses(targets, nontargets, p_target, config.c_miss, config.c_fa))
    return figures
