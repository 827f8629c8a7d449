"""The figures that are reported of a list of scores."""

from dataclasses import dataclass

import numpy as np

from xvkd.config import limits
from xvkd.evaluation.metrics import eer, min_dcf


@dataclass
class EvaluationConfig:
    """Schema of ``conf/evaluation.yaml``."""

    p_targets: list[float] = limits(1e-6, 0.999999)
    c_miss: float = limits(1e-6)
    c_fa: float = limits(1e-6)

    def dcf_names(self) -> list[str]:
        """The key of each minDCF, such as mindcf_0.01."""
        return [f"mindcf_{p_target:g}" for p_target in self.p_targets]


def report(scores: np.ndarray, target: np.ndarray, config: EvaluationConfig) -> dict[str, float]:
    """EER in percent and minDCF at each prior.

    Args:
        scores: (T,).
        target: (T,) bool.
        config: priors and costs.
    """
    targets, nontargets = scores[target], scores[~target]
    figures = {"trials": len(scores), "eer_percent": 100 * eer(targets, nontargets)[0]}
    for name, p_target in zip(config.dcf_names(), config.p_targets, strict=True):
        figures[name] = min_dcf(targets, nontargets, p_target, config.c_miss, config.c_fa)[0]
    return figures
