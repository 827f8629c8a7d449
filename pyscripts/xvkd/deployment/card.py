"""What goes with exported networks: how their scores are decided on, and a card that tells what they are worth."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xvkd.backend.backend import ScoringConfig
from xvkd.backend.calibration import Calibration
from xvkd.evaluation.exports import SCORING
from xvkd.evaluation.metrics import ErrorCurve, eer
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.system import METRICS
from xvkd.evaluation.tables import Table, with_interval

USE = """import onnxruntime, soundfile

session = onnxruntime.InferenceSession("{file}", providers=["CPUExecutionProvider"])
samples, rate = soundfile.read("a.wav", dtype="float32")            # mono, {rate} Hz, in [-1, 1]
(embedding,) = session.run(["embedding"], {{"waveform": samples[None]}})   # (1, {size}); NaN: no speech
"""


def decision_rule(
    scores: np.ndarray, target: np.ndarray, evaluation: EvaluationConfig, backend: ScoringConfig
) -> dict[str, Any]:
    """What ``calibration.json`` says: how scores become log-likelihood ratios, and thresholds.

    Args:
        scores: (T,) of the development set, by PLDA.
        target: (T,) bool.
        evaluation: priors and costs.
        backend: how PLDA scores.

    Returns:
        ``scale`` and ``offset``: the log-likelihood ratio is scale x score + offset. ``operating_points``: name to
        ``threshold``, above which a score is accepted, and the shares of ``misses`` and ``false_alarms`` there; "eer",
        and each prior, such as "0.01", at which the threshold costs least. ``scoring``: flags of PLDA. ``prior``: the
        one at which the calibration is best.
    """
    calibration = Calibration.train(scores[target], scores[~target], evaluation.calibration_prior)
    curve = ErrorCurve.of(scores[target], scores[~target])
    thresholds = {"eer": eer(scores[target], scores[~target])[1]}
    for prior in evaluation.p_targets:
        # Accepting everything is a threshold as well, but none that JSON can hold.
        _, threshold = curve.min_dcf(prior, evaluation.c_miss, evaluation.c_fa)
        thresholds[f"{prior:g}"] = max(threshold, float(np.nextafter(scores.min(), -np.inf)))
    points = {
        name: {
            "threshold": float(threshold),
            "misses": float((scores[target] <= threshold).mean()),
            "false_alarms": float((scores[~target] > threshold).mean()),
        }
        for name, threshold in thresholds.items()
    }
    flags = {field.name: getattr(backend, field.name) for field in dataclasses.fields(ScoringConfig)}
    return {
        "scale": calibration.scale, "offset": calibration.offset, "prior": evaluation.calibration_prior,
        "operating_points": points, "scoring": flags,
    }  # fmt: skip


def shipped(files: Sequence[str]) -> str:
    """The one of several ONNX files that is meant to be shipped: in eight bits, and from the waveform, if it can be."""
    return min(files, key=lambda name: (".int8" not in name, ".features" in name))


@dataclasses.dataclass(frozen=True)
class Card:
    """What a card tells.

    Attributes:
        record: what the folded model's config.yaml says.
        properties: of one of the ONNX files.
        about: the corpus, in a sentence.
        synthetic: whether its speech is.
        data: the training set in words.
        rule: see ``decision_rule``; None without development set.
        evaluation: what has been measured.
    """

    record: dict[str, Any]
    properties: dict[str, str]
    about: str
    synthetic: bool
    data: str
    rule: dict[str, Any] | None
    evaluation: EvaluationConfig

    def text(self, folder: Path, files: Sequence[str]) -> str:
        """The card, Markdown.

        Args:
            folder: has ``files``, and their figures in ``scores/``.
            files: names of ONNX files.
        """
        record, folded = self.record, self.record["folded"]
        figures = {name: _figures(folder, name) for name in files}
        lists = list(dict.fromkeys(one for each in figures.values() for one in each))
        header = ["file", "bytes", "reads", *(f"EER {name} (%)" for name in lists)]
        rows = [
            [name, f"{(folder / name).stat().st_size:,}", "features" if ".features" in name else "waveform",
             *(with_interval(figures[name].get(one, {}).get(SCORING, {}), "eer_percent") for one in lists)]
            for name in files
        ]  # fmt: skip
        taught = f"distilled from {'+'.join(record['distilled'])} of {record['teacher']}"
        lines = [
            f"# {self.properties['description']}", "",
            f"A network of the kind `{record['build']['network']}` with {record['parameters']:,} parameters, and "
            f"{folded['plda_parameters']:,} of PLDA behind it; "
            f"{taught if record['distilled'] else 'trained on labels alone'}, loss `{record['loss']}`, seed "
            f"{record['seed']} ({folded['model']}). It gives embeddings of {self.properties['embedding_dim']} values "
            f"from speech of {self.properties['sample_rate']} Hz.", "",
            "## Files", "",
            *Table(header, rows, left=1).markdown(), "",
            f"EER of {SCORING}, measured with these files by ONNX Runtime; in brackets "
            f"{100 * self.evaluation.confidence:g} % intervals of a bootstrap over speakers. `int8`: eight-bit "
            "weights, per channel, and eight-bit values between layers; features, normalisation and pooling stay as "
            "they are. `plda` is Kaldi's format. Opset, names and metadata: docs/deployment.md of the project.", "",
            "## Data", "", f"{self.about} {self.data}", "",
            *self._points(), *self._conditions(figures, files, lists),
            "## Known limits", "", *self._limits(), "",
        ]  # fmt: skip
        file = next((name for name in files if ".features" not in name), None)
        if file:
            use = USE.format(file=file, rate=self.properties["sample_rate"], size=self.properties["embedding_dim"])
            lines += ["## Use", "", "```python", *use.splitlines(), "```", ""]
        return "\n".join([*lines, "## Licence", "", self.properties["license"], ""])

    def _points(self) -> list[str]:
        if self.rule is None:
            return []
        rows = [
            [name, f"{point['threshold']:.2f}", f"{100 * point['misses']:.2f}", f"{100 * point['false_alarms']:.3f}"]
            for name, point in self.rule["operating_points"].items()
        ]  # fmt: skip
        return [
            "## Operating points", "",
            *Table(["point", "accepted above", "misses (%)", "false alarms (%)"], rows, left=1).markdown(), "",
            f"On {self.evaluation.dev_set}, of PLDA scores: where both errors are equal, and where the detection cost "
            "is least at these priors of a target trial. The log-likelihood ratio of a score is "
            f"{self.rule['scale']:.4f} x score + {self.rule['offset']:.4f} (`calibration.json`). Another domain needs "
            "thresholds of its own.", "",
        ]  # fmt: skip

    def _conditions(self, figures: dict[str, Any], files: Sequence[str], lists: Sequence[str]) -> list[str]:
        """EER by condition of the file that is shipped, on lists with such figures that are not for development."""
        file = shipped(files)
        lines: list[str] = []
        for name in lists:
            conditions = figures[file].get(name, {}).get(SCORING, {}).get("conditions", {})
            if name.startswith(self.evaluation.dev_set) or not conditions:
                continue
            rows = [
                [kind, one, with_interval(about, "eer_percent")]
                for kind, classes in conditions.items() for one, about in classes.items()
            ]  # fmt: skip
            lines += [f"EER of {file} on {name} by condition:", ""]
            lines += [*Table(["condition", "class", "EER (%)"], rows, left=2).markdown(), ""]
        return ["## Conditions", "", *lines] if lines else []

    def _limits(self) -> list[str]:
        limits = []
        if self.synthetic:
            limits.append(
                "- Trained and measured on synthetic speech: the figures tell nothing about people, for whom it must "
                "not be used."
            )
        limits += [
            "- The threshold of a domain, a microphone or a language unlike those of the data has to be set anew.",
            "- No protection against recordings or synthesis of an enrolled voice.",
            f"- Short speech makes more errors; of fewer than {self.properties['shortest_frames']} voiced frames, the "
            "first and the last are repeated.",
        ]
        return limits


def _figures(folder: Path, name: str) -> dict[str, Any]:
    """The figures of one file, list by list; none if it has not been scored."""
    path = folder / "scores" / name.removesuffix(".onnx") / METRICS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
