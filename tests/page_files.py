"""An experiment as stages 4 to 9 leave it, with toy scores; and HTML read back."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import yaml
from shell import ROOT, run

from xvkd import config
from xvkd.evaluation.bootstrap import SpeakerBootstrap
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.system import SystemReport

SPEAKER = np.repeat(np.arange(20), 4)
LEFT, RIGHT = np.triu_indices(len(SPEAKER), 1)
TARGET = SPEAKER[LEFT] == SPEAKER[RIGHT]
SCORINGS = ("cosine", "plda")
# Elements of HTML that have no end.
VOID = {"meta", "input", "wbr", "br", "link", "img"}


def scores_of(system: int, name: str, scoring: str) -> np.ndarray:
    """Toy scores, of systems that differ."""
    random = np.random.default_rng([system, len(name), SCORINGS.index(scoring)])
    return random.normal(np.where(TARGET, 1.5 + 0.2 * system, -2), 1.5) * (1 if scoring == "plda" else 0.1)


def write_system(
    experiment: Path, folder: str, level: str, number: int, lists: list[str], durations: tuple[str, ...] = ()
) -> None:
    """What score_sets.py writes; lists of the set dev first."""
    report = SystemReport(config.load(EvaluationConfig, ROOT / "conf" / "evaluation.yaml", ["bootstrap_draws=50"]))
    names = [f"s{speaker:02d}" for speaker in SPEAKER]
    bootstrap = SpeakerBootstrap(names, names, LEFT, RIGHT, TARGET, 50, 0)
    for name in lists:
        for scoring in SCORINGS:
            scores = scores_of(number, name, scoring)
            report.add(name.split("_")[0], name, scoring, scores, TARGET, bootstrap)
            for seconds in durations if name == "eval" else ():
                noise = np.random.default_rng(number).normal(0, 2 / float(seconds[:-1]), len(scores))
                report.add_pairing(name, seconds, scoring, scores + noise * scores.std(), TARGET, bootstrap)
    report.save(experiment / folder / "scores" / level)


def write_model(experiment: Path, folder: str, about: dict, log: str | None) -> None:
    """Configuration and, if there was one, the log of the training."""
    (experiment / folder / "log").mkdir(parents=True)
    (experiment / folder / "config.yaml").write_text(yaml.safe_dump(about))
    if log is not None:
        (experiment / folder / "log" / "training.csv").write_text(log)


def write_experiment(
    experiment: Path, lists: list[str], levels: list[str], students: list[list[str]],
    durations: tuple[str, ...] = (), logs: bool = True,
) -> None:  # fmt: skip
    """A teacher and its students.

    Args:
        experiment: the folder.
        lists: of trials.
        levels: the teacher's.
        students: the levels of each; its loss is mse, that of one without levels softmax.
        durations: such as 1s, of all systems.
        logs: whether the trainings have logs.
    """
    teacher = {
        "role": "teacher", "loss": "aam", "seed": 0, "parameters": 1000000,
        "levels": {level: {"parameters": 400000 + 100000 * n} for n, level in enumerate(levels)},
    }  # fmt: skip
    log = "epoch,loss,accuracy,dev_eer_percent,seconds\n1,6.5,0.1,,3\n2,2.5,0.5,9.5,3\n3,1.25,0.75,8.5,3\n"
    write_model(experiment, "teacher_t_s0", teacher, log if logs else None)
    for number, level in enumerate(levels):
        write_system(experiment, "teacher_t_s0", level, number, lists, durations)
    for number, distilled in enumerate(students):
        about = {
            "role": "student", "teacher": "teacher_t_s0", "teacher_parameters": 1000000, "seed": 0,
            "parameters": 80000 + 30000 * number, "distilled": distilled, "loss": "mse" if distilled else "softmax",
        }  # fmt: skip
        folder = f"student_{number}_s0"
        write_model(experiment, folder, about, "epoch,loss,cosine\n1,0.9,0.2\n2,0.5,0.4\n" if logs else None)
        write_system(experiment, folder, "embedding", number + 1, lists, durations)


def make_results(experiment: Path, folder: Path, **changes: str) -> str:
    """Runs the command; returns what it logs."""
    done = run([
        "python3", ROOT / "pyscripts" / "make_results.py", "--evaluation", ROOT / "conf" / "evaluation.yaml",
        "--corpus", ROOT / "conf" / "corpora" / "tiny.yaml", experiment, folder,
    ], **{"PYTHONPATH": str(ROOT / "pyscripts"), **changes})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def records_of(folder: Path) -> list[dict]:
    """results.json."""
    return json.loads((folder / "results.json").read_text())


@dataclass
class Node:
    """An element."""

    tag: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    children: list["Node | str"] = field(default_factory=list)

    def every(self) -> Iterator["Node"]:
        """Elements below it, in the file's order."""
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child.every()

    def all(self, tag: str, class_: str = "") -> list["Node"]:
        """Elements below it of a tag and, if that is given, with classes."""
        wanted = set(class_.split())
        return [
            one for one in self.every() if one.tag == tag and wanted <= set(one.attributes.get("class", "").split())
        ]  # fmt: skip

    @property
    def text(self) -> str:
        """Its text, with that of all below it."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class Reader(HTMLParser):
    """Builds the tree, and insists that each element is closed where it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Node("")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list) -> None:
        assert len(dict(attrs)) == len(attrs), f"attribute twice: {attrs}"
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read_page(folder: Path) -> Node:
    """The page's tree."""
    reader = Reader()
    reader.feed((folder / "index.html").read_text())
    reader.close()
    assert reader.open == [reader.root], f"not closed: {reader.open[-1].tag}"
    return reader.root
