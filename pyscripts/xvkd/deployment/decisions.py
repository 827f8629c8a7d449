"""What scores mean: calibrated log-likelihood ratios, probabilities, and where a score is accepted."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xvkd.backend.backend import ScoringConfig
from xvkd.backend.calibration import Calibration
from xvkd.errors import UserError
from xvkd.kaldi.streams import cannot_be_opened

EQUAL_ERRORS = "eer"


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold that was set on the development set.

    Attributes:
        name: "eer", or a prior such as "0.01": where the detection cost at that prior of a target trial is least.
        threshold: scores above it are accepted.
        prior: of a target trial: the name, or 0.5 for "eer".
    """

    name: str
    threshold: float
    prior: float


@dataclass(frozen=True)
class DecisionRule:
    """What ``calibration.json`` beside an exported network says.

    ::

        {"scale": 0.17, "offset": 1.7,
         "operating_points": {"eer": {"threshold": -9.1}, "0.01": {"threshold": 20.2}, "0.05": {"threshold": 9.8}},
         "scoring": {"normalize_length": true, "simple_length_normalization": false, "smoothing": 0.0}}

    The log-likelihood ratio of a PLDA score is ``scale x score + offset``, natural logarithm; ``scale`` is above 0.
    ``operating_points`` has at least one name, each "eer" or a prior between 0 and 1, and its threshold on the PLDA
    score. ``scoring`` is how PLDA scores (``conf/backend.yaml``); without it, as Kaldi's program does unless told
    otherwise, which is the same as above. Further keys, anywhere, are passed over.

    Attributes:
        calibration: of PLDA scores.
        points: by name.
        scoring: how PLDA scores.
    """

    calibration: Calibration
    points: dict[str, OperatingPoint]
    scoring: ScoringConfig

    @classmethod
    def load(cls, path: str | Path) -> "DecisionRule":
        """Reads the file.

        Raises:
            UserError: it is missing, or has not what is described above.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{path}: no such file; copy it with the network, or export that again (stage 11), from a corpus with "
                "a development set"
            ) from None
        except OSError as error:
            raise cannot_be_opened(str(path), error) from None
        except ValueError as error:
            raise UserError(f"{path}: is not JSON ({error}); export the model again (stage 11)") from None
        scale, offset = (_number(path, content, key) for key in ("scale", "offset"))
        if scale <= 0:
            raise UserError(f"{path}: scale is {scale}, and has to be above 0; export the model again (stage 11)")
        points = {}
        for name, entry in _object(path, content, "operating_points").items():
            prior = 0.5 if name == EQUAL_ERRORS else _prior(path, name)
            points[name] = OperatingPoint(name, _number(path, entry, "threshold"), prior)
        if not points:
            raise UserError(f"{path}: operating_points is empty; export the model again (stage 11)")
        scoring = _object(path, content, "scoring") if "scoring" in content else {}
        return cls(
            Calibration(scale, offset), points,
            ScoringConfig(
                bool(scoring.get("normalize_length", True)), bool(scoring.get("simple_length_normalization", False)),
                _number(path, scoring, "smoothing") if "smoothing" in scoring else 0.0,
            ),
        )  # fmt: skip

    def point(self, name: str) -> OperatingPoint:
        """An operating point; UserError if there is none of that name."""
        if name not in self.points:
            raise UserError(f"'{name}': no such operating point (there are: {', '.join(self.points)})")
        return self.points[name]

    def threshold_among(self, point: OperatingPoint, speakers: int) -> float:
        """The threshold for the best of several enrolled speakers, above that for a single one.

        The prior that a test utterance is one of theirs is shared out among them, so that the log-likelihood ratio has
        to be larger by log(speakers): with it, about as many strangers are accepted, whatever the number of speakers.
        """
        return point.threshold + math.log(speakers) / self.calibration.scale


def probability(ratio: float, prior: float) -> float:
    """The probability of a target trial, by its log-likelihood ratio and its prior, between 0 and 1."""
    return float(np.exp(-np.logaddexp(0.0, -(ratio + math.log(prior) - math.log1p(-prior)))))


def probabilities(ratios: np.ndarray, prior: float) -> np.ndarray:
    """(M,) the probability that each of M enrolled speakers speaks; what they lack to 1 is that of a stranger.

    Args:
        ratios: (M,) log-likelihood ratios, of each against a stranger.
        prior: that it is one of them, whom it is shared out among.
    """
    weights = ratios + math.log(prior / len(ratios))
    return np.exp(weights - np.logaddexp(np.logaddexp.reduce(weights), math.log1p(-prior)))


def _prior(path: str | Path, name: str) -> float:
    try:
        prior = float(name)
    except ValueError:
        prior = math.nan
    if not 0 < prior < 1:
        raise UserError(f"{path}: the operating point '{name}' is neither {EQUAL_ERRORS} nor a prior between 0 and 1")
    return prior


def _object(path: str | Path, content: Any, key: str) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get(key), dict):
        raise UserError(f"{path}: {key} is missing, or no object; export the model again (stage 11)")
    return content[key]


def _number(path: str | Path, content: Any, key: str) -> float:
    value = content.get(key) if isinstance(content, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{path}: {key} is missing, or no finite number; export the model again (stage 11)")
    return float(value)
