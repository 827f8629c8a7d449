"""Schema of ``conf/losses/*.yaml``: how a student is distilled. ``docs/distillation.md`` says what each key does."""

from dataclasses import asdict, dataclass
from typing import Any

from xvkd.config import choices, limits


@dataclass
class LossConfig:
    """What is regressed, and with which losses."""

    terms: dict[str, float] = limits(0.0)  # module of xvkd.distillation.losses -> weight
    level_weights: dict[str, float] = limits(0.0)  # level -> weight; "default" for those not named
    projection: str = choices("none", "pca", "lda")
    projection_dim: int = limits(0)  # at most so many dimensions; 0 without a projection
    length_normalise: bool  # targets (after the projection) to the length sqrt(dim)
    joint: bool  # projection and length normalisation are of all levels together, not of each by itself
    label_weight: float = limits(0.0, 1.0)  # share of the speaker objective in the loss
    temperature: float = limits(0.01)  # of the posteriors that kl compares
    head_dim: int = limits(0)  # of the embedding, from which a head predicts each level; 0: it is the target itself
    clean_targets: bool  # a degraded copy regresses the target of its original
    source: str = choices("dumped", "loop")  # targets of whole utterances from files, or of chunks from the teacher

    def validate(self) -> str | None:
        """Says what is impossible in the combination of options."""
        if not any(self.terms.values()):
            return "terms: at least one loss needs a weight above 0"
        if "default" not in self.level_weights:
            return "level_weights: 'default' is missing, the weight of the levels that are not named"
        if (self.projection == "none") != (self.projection_dim == 0):
            return "projection_dim must be 0 without a projection, and at least 1 with one"
        if self.joint and self.projection != "none" and set(self.level_weights) != {"default"}:
            return (
                "level_weights: a projection mixes the levels, so that only 'default' can have a weight; joint: false "
                "projects each by itself"
            )
        if self.label_weight == 1:
            return "label_weight: 1 leaves nothing to distil; train a student of labels (--levels label)"
        if self.clean_targets and self.source == "loop":
            return (
                "clean_targets: true is impossible with source: loop, where the teacher reads the chunk that the "
                "student reads; set source: dumped"
            )
        return None

    def weight_of(self, level: str) -> float:
        """The weight of a level, ``teacher:level`` or ``level``."""
        name = level.rpartition(":")[2]
        return self.level_weights.get(level, self.level_weights.get(name, self.level_weights["default"]))

    def in_force(self) -> dict[str, Any]:
        """What tells this from another loss; an option that is off is as if there were none of it."""
        off = {
            "joint": True, "label_weight": 0.0, "head_dim": 0, "clean_targets": False, "source": "dumped",
            "temperature": self.temperature if not self.terms.get("kl") else None,
        }  # fmt: skip
        return {key: value for key, value in asdict(self).items() if key not in off or value != off[key]}
