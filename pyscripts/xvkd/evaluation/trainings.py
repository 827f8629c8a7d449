"""Systems with all their trainings: over seeds, and over strata such as folds of a cross-validation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xvkd.evaluation import strata
from xvkd.evaluation.bootstrap import interval
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import AllDraws, Record, best_levels
from xvkd.evaluation.strata import Comparison

DEPLOYED = "deployed_parameters"

# Where a training belongs: its stratum, which is a fold or a corpus, and its seed.
Training = tuple[str, int]


@dataclass
class System:
    """A student, or a teacher's level that is best on the development set, with all its trainings.

    Attributes:
        name: that of its folder, without the seed.
        about: what identifies it, a record of any of its trainings.
        rates: list -> training -> EER in percent.
        draws: list -> training -> the bootstrap's key and the EER, a fraction, of each draw.
        sizes: training -> parameters as trained and as deployed.
        levels: those that the teacher's trainings have for their best, or the student's set of levels.
        further: whether it was distilled on more than the teacher was trained on.
    """

    name: str
    about: Record
    rates: dict[str, dict[Training, float]] = field(default_factory=dict)
    draws: dict[str, dict[Training, tuple[str, np.ndarray]]] = field(default_factory=dict)
    sizes: dict[Training, tuple[int, int]] = field(default_factory=dict)
    levels: str = ""
    further: bool = False

    @property
    def deployed(self) -> int:
        """Parameters as deployed; where trainings differ, the mean."""
        return round(float(np.mean([deployed for _, deployed in self.sizes.values()])))

    @property
    def parameters(self) -> int:
        """Parameters as trained, likewise."""
        return round(float(np.mean([trained for trained, _ in self.sizes.values()])))

    @property
    def smaller(self) -> int:
        """Percent, rounded, by which it is smaller than the teacher, as trained."""
        return round(self.about["reduction_percent"] or 0)

    def describe(self) -> str:
        """It in a few words."""
        if self.about["role"] == "teacher":
            return f"teacher ({self.levels})"
        more = ", further speakers" if self.further else ""
        return f"{self.levels} ({self.about['loss']}{more})" if self.about["levels"] else self.levels


@dataclass
class Cell:
    """A teacher and its students, of all strata and seeds.

    Attributes:
        teacher: the level that is best on the development set, training by training; None if nothing was trained.
        students: all of them.
    """

    name: str
    teacher: System | None
    students: list[System]


def read_cell(name: str, found: Mapping[str, tuple[list[Record], AllDraws]], options: EvaluationConfig) -> Cell:
    """Puts the trainings of each system together.

    Args:
        name: of the cell.
        found: stratum -> what ``results.collect`` has found in its experiment.
        options: name the scoring that counts and the development set.
    """
    teacher, students = None, {}
    for stratum, (records, draws) in found.items():
        best = set(best_levels(records, options.dev_set, options.primary_scoring).values())
        for record in records:
            if record["scoring"] != options.primary_scoring:
                continue
            if record["role"] == "student":
                system = _student(students, record)
            elif record["system"] in best:
                system = teacher = teacher or System(record["teacher"].removesuffix(f"_s{record['seed']}"), record)
            else:
                continue
            training = stratum, record["seed"]
            system.rates.setdefault(record["set"], {})[training] = record["eer_percent"]
            key = record["system"], record["set"], record["scoring"]
            system.draws.setdefault(record["set"], {})[training] = draws.get(key, ("", np.empty(0)))
            system.sizes[training] = record["parameters"], record.get(DEPLOYED) or record["parameters"]
            if system is teacher and record["levels"][0] not in system.levels.split(", "):
                system.levels = ", ".join(filter(None, [system.levels, record["levels"][0]]))
    return Cell(name, teacher, list(students.values()))


def _student(students: dict[str, System], record: Record) -> System:
    """The system that a student's record belongs to."""
    name = record["system"].removesuffix(f"_s{record['seed']}")
    if name not in students:
        levels = "+".join(record["levels"]) or "labels only"
        students[name] = System(name, record, levels=levels, further=bool(record["unlabelled"]))
    return students[name]


def mean_rate(system: System, name: str, options: EvaluationConfig) -> tuple[float, list[float] | None] | None:
    """Mean EER in percent over strata and seeds, with its interval; None where there are no figures.

    Args:
        system: with all its trainings.
        name: the list.
        options: the interval's confidence, and the seed of the draws.
    """
    trainings = sorted(system.rates.get(name, {}))
    if not trainings:
        return None
    values = [_stratum(system, name, mine) for mine in _by_stratum(trainings)]
    mean, draws = strata.average(_without_draws(values) if _incomparable([values]) else values, options.bootstrap_seed)
    return 100 * mean, interval(100 * draws, options.confidence)


@dataclass(frozen=True)
class Compared:
    """Two systems on a list.

    Attributes:
        found: how they compare, on the trainings that both have.
        seeds: the least number of seeds of a stratum.
    """

    found: Comparison
    seeds: int


def compare(
    one: System, other: System, name: str, expected: Sequence[str], options: EvaluationConfig
) -> Compared | None:
    """Compares two systems over the seeds and strata that both have; None if they share no training.

    Args:
        one: a system.
        other: another.
        name: the list.
        expected: the strata that there should be; one that is missing counts as having no seeds.
        options: the interval's confidence, and the seed of the draws.
    """
    trainings = sorted(one.rates.get(name, {}).keys() & other.rates.get(name, {}).keys())
    if not trainings:
        return None
    groups = _by_stratum(trainings)
    sides = [[_stratum(system, name, mine) for mine in groups] for system in (one, other)]
    keys = [[system.draws[name][training][0] for training in trainings] for system in (one, other)]
    if keys[0] != keys[1] or _incomparable(sides):
        # Other draws, or other speakers: nothing can be compared draw by draw.
        sides = [_without_draws(side) for side in sides]
    found = Comparison.over(list(zip(*sides, strict=True)), options.confidence, options.bootstrap_seed)
    seeds = dict.fromkeys(expected, 0) | {group[0][0]: len(group) for group in groups}
    return Compared(found, min(seeds.values()))


def _by_stratum(trainings: Sequence[Training]) -> list[list[Training]]:
    names = dict.fromkeys(stratum for stratum, _ in trainings)
    return [[training for training in trainings if training[0] == name] for name in names]


def _stratum(system: System, name: str, trainings: Sequence[Training]) -> strata.Stratum:
    """EER, as fractions, of some trainings; without draws where these do not belong together."""
    rates = np.array([system.rates[name][training] for training in trainings]) / 100
    found = [system.draws[name][training] for training in trainings]
    if len({(key, len(draws)) for key, draws in found}) > 1:
        return rates, np.empty((len(rates), 0))
    return rates, np.stack([draws for _, draws in found])


def _incomparable(sides: Iterable[Sequence[strata.Stratum]]) -> bool:
    """Whether the numbers of draws differ."""
    return len({draws.shape[1] for side in sides for _, draws in side}) > 1


def _without_draws(side: Sequence[strata.Stratum]) -> list[strata.Stratum]:
    return [(rates, np.empty((len(rates), 0))) for rates, _ in side]


def best_on_dev(systems: Iterable[System], options: EvaluationConfig) -> System | None:
    """The system with the least geometric mean of the EER on the development set, of those with most trainings."""
    candidates = [system for system in systems if system.rates.get(options.dev_set)]
    if not candidates:
        return None
    most = max(len(system.rates[options.dev_set]) for system in candidates)
    candidates = [system for system in candidates if len(system.rates[options.dev_set]) == most]
    with np.errstate(divide="ignore"):  # an EER of 0 is the best
        return min(candidates, key=lambda system: np.log(list(system.rates[options.dev_set].values())).mean())
