"""What a list's results come to, in a few figures: the teacher's best level, and the student that is best on dev."""

from collections.abc import Sequence

from xvkd.evaluation.page.markup import Markup, breakable, element
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import Record, no_worse
from xvkd.evaluation.tables import with_interval

VERDICT = {True: "No worse than the teacher", False: "Not shown to be no worse", None: "No interval"}


def headline(records: Sequence[Record], name: str, options: EvaluationConfig) -> Markup | None:
    """The figures of a trial list, side by side; None where nothing can be chosen on a development set.

    Args:
        records: all that there are.
        name: the list.
        options: name the scoring, the development set, and what is no worse.
    """
    primary = [record for record in records if record["scoring"] == options.primary_scoring]
    on_dev = {record["system"]: record for record in primary if record["set"] == options.dev_set}
    here = {record["system"]: record for record in primary if record["set"] == name}
    candidates = {
        role: [system for system, record in on_dev.items() if record["role"] == role and system in here]
        for role in ("teacher", "student")
    }  # fmt: skip
    chosen = {
        role: here[min(systems, key=lambda system: on_dev[system]["eer_percent"])]
        for role, systems in candidates.items() if systems
    }  # fmt: skip
    figures = []
    for role, record in chosen.items():
        rate, _, interval = with_interval(record, "eer_percent").partition(" ")
        about = f"{role.capitalize()}, best on {options.dev_set}: {'+'.join(record['levels']) or 'labels only'}"
        about += f", {record['loss']}" if role == "student" else ""
        figures.append(_figure(f"{rate} %", "EER", interval, about))
    student = chosen.get("student")
    if student is not None and student["reduction_percent"] is not None:
        about = f"{student['parameters']:,} of {student['teacher_parameters']:,} parameters"
        figures.append(_figure(f"{student['reduction_percent']:.1f} %", "smaller", "", about))
    if student is not None and student.get("eer_ratio") is not None:
        ratio, _, interval = with_interval(student, "eer_ratio").partition(" ")
        verdict = VERDICT[no_worse(student.get("eer_ratio_upper"), options)]
        figures.append(_figure(ratio, "times the teacher's EER", interval, verdict))
    return element("dl", figures, class_="headline") if figures else None


def _figure(value: str, unit: str, interval: str, about: str) -> Markup:
    shown = [element("strong", value), f" {unit} ", element("span", interval, class_="interval")]
    return element("div", element("dt", breakable(about)), element("dd", shown))
