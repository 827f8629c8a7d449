"""The paper's claims, and what else is asked of students, judged by the rules of docs/claims.md."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.trainings import Cell, System, best_on_dev, compare

# Percent, rounded, by which students of single levels and of concatenations are smaller than the teacher at least.
SINGLE_SMALLER, CONCATENATION_SMALLER = 85, 75
# Parameters of a student, as deployed, that counts as very small: fewer than these.
VERY_SMALL = 120_000
# A label-only twin is smaller than the student by no more than this share of its size, as deployed.
TWIN_SMALLER = 0.02
# Trainings of each system, in each stratum, without which nothing is shown.
LEAST_SEEDS = 3
HOLDS, FAILS, NOT_SHOWN = "holds", "does not hold", "not shown"


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a claim.

    Attributes:
        claim: what is claimed.
        where: the cell and the list.
        outcome: HOLDS, FAILS or NOT_SHOWN.
        about: the systems and the figures, or what is missing.
    """

    claim: str
    where: str
    outcome: str
    about: str

    def line(self) -> str:
        """The verdict in a line."""
        return f"{self.claim} ({self.where}): {self.outcome}: {self.about}"


class Judge:
    """Gives verdicts on a list.

    Args:
        name: the list.
        expected: the strata that there should be.
        twin_ratio: EER of a student by that of the label-only twin, below which the student is better by as much as
            is asked for.
        options: no worse, and of the intervals.
    """

    def __init__(self, name: str, expected: Sequence[str], twin_ratio: float, options: EvaluationConfig) -> None:
        self.name, self.expected, self.twin_ratio, self.options = name, expected, twin_ratio, options

    def claims(self, cell: Cell) -> list[Verdict]:
        """Claims 1 to 3 of one teacher, by students that were distilled on what it was trained on."""
        own = [student for student in cell.students if not student.further]
        pair = self._of_one_loss(own, "frame", "segment6")
        single, concatenation = self._best(own, _single), self._best(own, _concatenation)
        lacking = "no students of frame and of segment6 with one loss"
        return [
            self._no_worse("claim 1, frame-level students compete with utterance-level ones", cell, *pair, lacking),
            self._no_worse(f"claim 2, a single level at {SINGLE_SMALLER} % smaller", cell, single, cell.teacher,
                           f"no student of a single level is {SINGLE_SMALLER} % smaller"),
            self._no_worse(f"claim 3, the concatenation at {CONCATENATION_SMALLER} % smaller", cell, concatenation,
                           cell.teacher, f"no student of a concatenation is {CONCATENATION_SMALLER} % smaller"),
        ]  # fmt: skip

    def carries_over(self, others: Mapping[str, Sequence[Verdict]]) -> Verdict:
        """Claim 4 from the verdicts on claims 1 to 3 of the other teachers, cell by cell."""
        outcomes = [verdict.outcome for verdicts in others.values() for verdict in verdicts]
        outcome = FAILS if FAILS in outcomes else NOT_SHOWN if NOT_SHOWN in outcomes or not outcomes else HOLDS
        about = "; ".join(
            f"{name}: " + ", ".join(f"{verdict.claim.split(',')[0]} {verdict.outcome}" for verdict in verdicts)
            for name, verdicts in others.items()
        )
        claim = "claim 4, all this carries over to other x-vector variants"
        return Verdict(claim, self.name, outcome, about or "no other variant was trained")

    def targets(self, cell: Cell, further: bool) -> list[Verdict]:
        """What else is asked for.

        Args:
            cell: a teacher with its students.
            further: of the students that were distilled on further speakers, or of the others.
        """
        students = [student for student in cell.students if student.further == further]
        label_only = [student for student in cell.students if not student.about["levels"]]
        where = replace(cell, name=f"{cell.name}, further speakers") if further else cell
        single, concatenation = self._best(students, _single), self._best(students, _concatenation)
        paired = self._best(students, lambda student: _twin(student, label_only) is not None)
        small = self._best(students, lambda student: student.deployed < VERY_SMALL)
        percent = round(100 * (1 - self.twin_ratio))
        verdicts = [
            self._below("target, the concatenation is better than the teacher", where, concatenation, cell.teacher, 1.0,
                        f"no student of a concatenation is {CONCATENATION_SMALLER} % smaller"),
            self._below(f"target, {percent} % better than the label-only twin", where, paired,
                        paired and _twin(paired, label_only), self.twin_ratio,
                        "no student with a label-only twin of its deployed size"),
            self._no_worse(f"target, fewer than {VERY_SMALL:,} parameters deployed and no worse than the teacher",
                           where, small, cell.teacher, "no student is so small"),
        ]  # fmt: skip
        if further:
            # What claim 2 says of the others.
            verdicts.insert(0, self._no_worse(f"target, a single level at {SINGLE_SMALLER} % smaller", where, single,
                                              cell.teacher, "no such student"))  # fmt: skip
            verdicts.append(self._bought(where, self._best(students, lambda student: True)))
        return verdicts

    def _bought(self, cell: Cell, student: System | None) -> Verdict:
        """What further speakers bring: a student that was distilled on them by the same without them."""
        same = [other for other in cell.students if student and student.name.startswith(f"{other.name}+")]
        return self._below("target, better than the same student without them", cell, student,
                           same[0] if same else None, 1.0, "no such students")  # fmt: skip

    def _best(self, students: Iterable[System], suits: Callable[[System], bool]) -> System | None:
        chosen = (student for student in students if student.about["levels"] and suits(student))
        return best_on_dev(chosen, self.options)

    def _of_one_loss(self, students: list[System], *levels: str) -> list[System | None]:
        """The students of some levels, each with the loss that is best on dev of those that all were trained with."""
        groups = [[student for student in students if student.about["levels"] == [level]] for level in levels]
        losses = set.intersection(*({student.about["loss"] for student in group} for group in groups))
        return [best_on_dev([one for one in group if one.about["loss"] in losses], self.options) for group in groups]

    def _no_worse(self, claim: str, cell: Cell, one: System | None, other: System | None, lacking: str) -> Verdict:
        return self._judge(claim, cell, one, other, self.options.no_worse_ratio, True, lacking)

    def _below(
        self, claim: str, cell: Cell, one: System | None, other: System | None, bound: float, lacking: str
    ) -> Verdict:  # fmt: skip
        return self._judge(claim, cell, one, other, bound, False, lacking)

    def _judge(
        self, claim: str, cell: Cell, one: System | None, other: System | None, bound: float, one_sided: bool,
        lacking: str,
    ) -> Verdict:  # fmt: skip
        """The one rule: the ratio lies below the bound, or not below it, or neither is shown."""
        where = f"{cell.name}, {self.name}"
        if one is None or other is None:
            return Verdict(claim, where, NOT_SHOWN, lacking)
        compared = compare(one, other, self.name, self.expected, self.options)
        if compared is None:
            return Verdict(claim, where, NOT_SHOWN, "no seed that both were trained with")
        found, about = compared.found, f"{one.describe()} by {other.describe()}"
        if found.ratio is None or found.interval is None or found.upper is None:
            return Verdict(claim, where, NOT_SHOWN, f"{about} has no interval; repeat stage 9")
        low, high = found.interval
        upper = found.upper if one_sided else high
        about += f" {found.ratio:.3f} [{low:.3f}, {high:.3f}]"
        about += f", upper bound {upper:.3f}" if one_sided else ""
        about += f", asked for: below {bound:g}"
        if compared.seeds < LEAST_SEEDS:
            return Verdict(claim, where, NOT_SHOWN, f"{about}, but {compared.seeds} of {LEAST_SEEDS} seeds")
        return Verdict(claim, where, HOLDS if upper < bound else FAILS if low >= bound else NOT_SHOWN, about)


def _twin(student: System, label_only: Iterable[System]) -> System | None:
    """The smallest student of labels alone that is as large as another, as deployed."""
    least = (1 - TWIN_SMALLER) * student.deployed
    return min((one for one in label_only if one.deployed >= least), key=lambda one: one.deployed, default=None)


def _single(student: System) -> bool:
    return len(student.about["levels"]) == 1 and student.smaller >= SINGLE_SMALLER


def _concatenation(student: System) -> bool:
    return len(student.about["levels"]) > 1 and student.smaller >= CONCATENATION_SMALLER
