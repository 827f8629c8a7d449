"""The page of results: one HTML file that needs nothing else, neither a network nor, but for sorting and reading off
values, scripts."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xvkd.evaluation.page import svg
from xvkd.evaluation.page.figures import det_plot, duration_plot, histogram_plot, size_plot, training_plots
from xvkd.evaluation.page.headline import headline
from xvkd.evaluation.page.markup import Markup, breakable, element, joined
from xvkd.evaluation.page.plot import Plot
from xvkd.evaluation.page.sources import CONFIG, Curves, Trainings
from xvkd.evaluation.page.tables import html_table, pairs
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import Record
from xvkd.evaluation.styles import CLASSES, Style, styles_of
from xvkd.evaluation.summary import SCATTER_NOTES, SCATTER_TITLE, Section, Summary
from xvkd.evaluation.tables import Table, names_of

FOLDER = Path(__file__).parent
# Nothing is loaded from anywhere, whatever names may hold.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
OPTIONS = "options.txt"


@dataclass(frozen=True, eq=False)
class Material:
    """What the figures are made of.

    Attributes:
        summary: the tables.
        records: of all systems, compared.
        best: see ``results.best_levels``.
        options: what is reported, and how.
        curves: points of the DET curves.
        trainings: the logs of the models' trainings.
        experiment: ``exp/<corpus>``, for the models' configurations and the run's options.
        files: further configuration that is shown.
    """

    summary: Summary
    records: Sequence[Record]
    best: Mapping[str, str]
    options: EvaluationConfig
    curves: Curves
    trainings: Trainings
    experiment: Path
    files: Sequence[Path] = ()

    @cached_property
    def names(self) -> dict[str, tuple[str, str]]:
        """Of the systems: kind, and name within it."""
        return names_of(list(self.records), self.best, self.options)

    @cached_property
    def full_names(self) -> dict[str, str]:
        """Of the systems, in one."""
        return {system: ", ".join(name) for system, name in self.names.items()}

    @cached_property
    def training_names(self) -> dict[str, str]:
        """Of the systems that stand for a model."""
        teachers = {record["system"]: record["teacher"] for record in self.records if record["role"] == "teacher"}
        return self.full_names | teachers

    @cached_property
    def styles(self) -> dict[str, Style]:
        """Of the systems."""
        return styles_of(self.records, self.best)

    @cached_property
    def lists(self) -> list[str]:
        """The trial lists, in the order of the sections."""
        return [section.name for section in self.summary.sections]

    @cached_property
    def scorings(self) -> list[str]:
        """The scorings, in the order of the records."""
        return list(dict.fromkeys(record["scoring"] for record in self.records))

    @cached_property
    def primary(self) -> str:
        """The scoring that is shown first."""
        chosen = self.options.primary_scoring
        return chosen if chosen in self.scorings else self.scorings[0]

    def of(self, name: str, scoring: str) -> list[Record]:
        """The records of a list and scoring."""
        return [record for record in self.records if (record["set"], record["scoring"]) == (name, scoring)]

    def plots(self, name: str, scoring: str) -> list[Plot]:
        """What is drawn of a list and scoring besides histograms."""
        records = self.of(name, scoring)
        return [det_plot(records, self.curves), size_plot(records), duration_plot(records)]

    def training_plots(self) -> list[Plot]:
        """What is drawn of the trainings: a teacher by its best level, or its first."""
        systems: dict[str, str] = {}
        for system in [*self.names, *self.best.values()]:
            folder = system.split("/")[0]
            if folder not in systems or system in self.best.values():
                systems[folder] = system
        return training_plots(self.trainings, systems)


class Page:
    """The page of some material.

    Args:
        material: what it shows.
    """

    def __init__(self, material: Material) -> None:
        self.material = material
        self.classes = {system: f"y{number}" for number, system in enumerate(material.names)}
        self.markers = {system: style.marker for system, style in material.styles.items()}
        self.classes |= {name: name for name in CLASSES}

    def html(self) -> str:
        """The file's text."""
        summary = self.material.summary
        head = element(
            "head", element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", http_equiv="Content-Security-Policy", content=POLICY),
            element("title", f"Results: {summary.corpus}"),
            element("style", Markup((FOLDER / "page.css").read_text(encoding="utf-8")), Markup(self._rules())),
        )  # fmt: skip
        header = element(
            "header", element("h1", "Results: ", summary.corpus),
            element("p", f"{summary.date}. {summary.about}"),
        )  # fmt: skip
        script = element("script", Markup((FOLDER / "page.js").read_text(encoding="utf-8")))
        body = element("body", header, element("div", self._panel(), self._main(), class_="columns"), script)
        return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"

    def _rules(self) -> str:
        """Colours and dashes of the systems, and what the choices in the panel show and hide, as CSS."""
        rules, dark, chosen = [], [], []
        for system, style in self.material.styles.items():
            name = self.classes[system]
            dash = " ".join(f"{length:g}" for length in style.dash) or "none"
            rules.append(f".{name}{{--c:{style.light};--d:{dash};--w:{style.width:g}}}")
            dark.append(f".{name}{{--c:{style.dark}}}")
            chosen.append(f"body:has(#{name}:not(:checked)) figure.{name}{{display:none}}")
            chosen.append(f"body:has(#{name}:not(:checked)) figure .{name}{{display:none}}")
            chosen.append(f"body:has([for={name}]:hover) figure .series:not(.{name},.area){{opacity:.1}}")
        for name, (light, darker) in CLASSES.items():
            rules.append(f".{name}{{--c:{light}}}")
            dark.append(f".{name}{{--c:{darker}}}")
        for letter, count in (("l", len(self.material.lists)), ("s", len(self.material.scorings))):
            for n in range(count):
                chosen.append(f"body:has(#{letter}{n}:checked) .{letter}:not(.{letter}{n}){{display:none}}")
        return "\n".join([*rules, "@media (prefers-color-scheme:dark){", *dark, "}", *chosen])

    def _panel(self) -> Markup:
        """What can be chosen: trial list, scoring, systems."""
        material = self.material
        lists = _radios("Trial list", "l", material.lists, material.lists[0])
        scorings = _radios("Scoring", "s", material.scorings, material.primary)
        groups: dict[str, list[Markup]] = {}
        for system, (group, name) in material.names.items():
            class_ = self.classes[system]
            box = element("input", type="checkbox", id=class_, checked=True, autocomplete="off")
            swatch = svg.swatch(self.markers[system], class_)
            label = element("label", swatch, element("span", breakable(name)), for_=class_)
            groups.setdefault(group, []).append(element("li", box, label))
        found = [[element("h3", group), element("ul", items)] for group, items in groups.items()]
        systems = element("details", element("summary", "Systems"), found, class_="systems", open=True)
        return element("nav", lists, scorings, systems, class_="panel", aria_label="What is shown")

    def _main(self) -> Markup:
        material = self.material
        sections = material.summary.sections
        figures, histograms = [], []
        for name in material.lists:
            for scoring in material.scorings:
                where = f"{name}, {scoring}"
                chosen = self._class(name, scoring)
                plots = material.plots(name, scoring)
                figures.append(element("div", [self._figure(plot, where) for plot in plots], class_=f"plots {chosen}"))
                found = [self._histogram(record) for record in material.of(name, scoring)]
                histograms.append(element("div", found, class_=f"histograms {chosen}"))
        key = [element("span", element("span", class_=f"key {name}"), f"{name} trials") for name in CLASSES]
        parts = [
            _part("errors", "Errors and sizes", [self._headline(name) for name in material.lists],
                  [self._tables(one, slice(0, 1)) for one in sections],
                  element("p", material.summary.notes, class_="note")),
            _part("figures", "Figures", figures),
            _part("scores", "Scores", element("p", key, element("span", element("span", class_="key rule"),
                  "threshold of the EER"), class_="keys"), histograms,
                  element("p", "Percent of the trials of a class, by score; made of the points of the DET curve. The "
                          "outermost bins have what lies beyond.", class_="note")),
            _part("more", "By cost, condition and duration", [self._tables(one, slice(1, None)) for one in sections]),
        ]  # fmt: skip
        if material.summary.scatter:
            table = html_table(material.summary.scatter, "Variance within speakers by that between")
            parts.append(_part("scatter", SCATTER_TITLE, table, element("p", SCATTER_NOTES, class_="note")))
        plots = material.training_plots()
        training = [self._figure(plot) for plot in plots]
        empty = element("p", "No model here has a log of its training.", class_="note")
        parts.append(_part("training", "Training", element("div", training, class_="plots") if plots else empty))
        parts.append(_part("configuration", "Configuration", self._configuration()))
        return element("main", parts)

    def _headline(self, name: str) -> Markup | None:
        """What the results of a list come to."""
        found = headline(self.material.records, name, self.material.options)
        return element("div", found, class_=self._class(name)) if found else None

    def _class(self, name: str, scoring: str | None = None) -> str:
        """The class of what belongs to a list, or to a list and scoring."""
        found = f"l l{self.material.lists.index(name)}"
        return found if scoring is None else f"{found} s s{self.material.scorings.index(scoring)}"

    def _tables(self, section: Section, which: slice) -> Markup:
        """Some tables of a list."""
        found = []
        systems = dict.fromkeys(record["system"] for record in self.material.records if record["set"] == section.name)
        marks = [svg.swatch(self.markers[system], self.classes[system]) for system in systems]
        for title, table in section.tables[which]:
            about = f"{section.name}: {title.rstrip('.:') or f'{section.trials:,} trials'}"
            if title:
                found.append(html_table(table, about, folded=(1, 2) if table.header[1:3] == ["loss", "seed"] else ()))
            else:
                found.append(html_table(table, about, marks, self._order(table), folded=(0, 2)))
        return element("div", found or element("p", f"{section.name}: nothing further.", class_="note"),
                       class_=self._class(section.name))  # fmt: skip

    def _order(self, table: Table) -> list[int]:
        """The columns of the table of errors: what tells systems apart and what they are compared by come first."""
        title = f"EER {self.material.primary} (%)"
        first = [1, 0, 2]
        if title in table.header:
            first += [table.header.index(title), len(table.header) - 2, len(table.header) - 1]
        return first + [column for column in range(len(table.header)) if column not in first]

    def _figure(self, plot: Plot, where: str = "") -> Markup:
        """A plot with its title and note."""
        title = element("figcaption", element("strong", plot.title), f" {where}" if where else None)
        names = self.material.full_names if where else self.material.training_names
        drawn = svg.draw(plot, names, self.classes, self.markers) if plot.series else None
        text = plot.note or ("" if plot.series else "No system has figures of this list by this scoring.")
        note = element("p", text, class_="note") if text else None
        return element("figure", title, drawn, note, class_="plot")

    def _histogram(self, record: Record) -> Markup:
        """The histogram of a system."""
        system, names = record["system"], {name: f"{name} trials" for name in CLASSES}
        plot = histogram_plot(record, self.material.curves)
        drawn = svg.draw(plot, names, self.classes, self.markers, svg.SMALL) if plot.series else None
        title = element("figcaption", breakable(self.material.full_names[system]))
        note = element("p", plot.note, class_="note") if plot.note else None
        return element("figure", title, drawn, note, class_=f"histogram {self.classes[system]}")

    def _configuration(self) -> list[Markup]:
        """The options of the last run, and the configuration of models and evaluation."""
        experiment, found = self.material.experiment, []
        if (experiment / OPTIONS).is_file():
            lines = (experiment / OPTIONS).read_text(encoding="utf-8", errors="replace").splitlines()
            rows = dict(map(_option, lines))
            given = {name: value for name, value in rows.items() if value}
            title = f"Options of the last run ({len(given)})"
            found.append(_folded(title, pairs(given, "Options of ./run.sh that are not empty")))
        folders = dict.fromkeys(system.split("/")[0] for system in self.material.names)
        for path in [*self.material.files, *(experiment / folder / CONFIG for folder in folders)]:
            title = str(path.relative_to(experiment)) if path.is_relative_to(experiment) else path.name
            text = path.read_text(encoding="utf-8", errors="replace")
            found.append(_folded(title, element("pre", text, tabindex="0")))
        return found


def _radios(title: str, letter: str, names: Sequence[str], chosen: str) -> Markup:
    """A choice of one of some names."""
    choices = [
        element("span", element("input", type="radio", name=letter, id=f"{letter}{n}", checked=name == chosen,
                                autocomplete="off"), element("label", breakable(name), for_=f"{letter}{n}"))
        for n, name in enumerate(names)
    ]  # fmt: skip
    return element("fieldset", element("legend", title), choices)


def _part(name: str, title: str, *content: Markup | Sequence[Markup]) -> Markup:
    """A part of the page, with its heading."""
    return element("section", element("h2", title), joined(content), id=name)


def _folded(title: str, content: Markup | list[Markup]) -> Markup:
    return element("details", element("summary", title), content)


def _option(line: str) -> tuple[str, str]:
    """Name and value of a line that the shell's printf %q has written."""
    name, _, value = line.partition("=")
    try:
        return name, " ".join(shlex.split(value))
    except ValueError:
        return name, value
