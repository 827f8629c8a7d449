"""The results of an experiment in words and tables, list by list; RESULTS.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO
from urllib.parse import quote

from xvkd.evaluation.exports import export_table
from xvkd.evaluation.pairing_tables import across_table, duration_table
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import Record
from xvkd.evaluation.strata import Comparison
from xvkd.evaluation.tables import Table, condition_table, cost_table, error_table, scatter_table, seed_table

NOTES = (
    "Sizes are compared with the whole teacher without its classifier; a level's parameters are those of the layers "
    "that it needs. Deployed: with mean subtraction and LDA folded into the last layer, which leaves the scores of "
    "lda_cosine and plda as they are (docs/folding.md); PLDA has further parameters. The teacher's best level is "
    "chosen on {dev_set}, by {primary_scoring}; students are compared with "
    "it. In brackets: {percent:g} % intervals of a bootstrap over speakers, which say nothing about other training "
    "seeds. No worse: the one-sided {percent:g} % upper bound of the ratio lies below {no_worse_ratio:g}. Cllr and "
    "actDCF are those of scores calibrated on {dev_set}, so that they flatter on {dev_set} itself."
)
SCATTER_TITLE = "Generalisation of the teacher's levels"
SCATTER_NOTES = (
    "Variance of embeddings within speakers by that between speakers, each dimension normalised as targets are: on the "
    "speakers of train, on others, and how many times as large it is on these. 1: new speakers are treated as known "
    "ones; the larger, the more of its speakers the teacher has memorised, and the less its targets on them teach."
)


@dataclass(frozen=True)
class Section:
    """The results on a trial list.

    Attributes:
        name: of the list.
        trials: how many it has.
        tables: with what is to be said of each; the first is that of errors and sizes, and speaks for itself.
    """

    name: str
    trials: int
    tables: list[tuple[str, Table]]


@dataclass(frozen=True)
class Summary:
    """The results of an experiment.

    Attributes:
        corpus: its name.
        date: the day.
        about: what the corpus is.
        notes: how to read the tables.
        sections: the lists, those of the development set last.
        scatter: see ``tables.scatter_table``; may be empty.
    """

    corpus: str
    date: str
    about: str
    notes: str
    sections: list[Section]
    scatter: Table

    @classmethod
    def of(
        cls, corpus: str, date: str, about: str, records: list[Record], exports: list[Record],
        best: Mapping[str, str], over_seeds: Mapping[tuple[str, str, str], tuple[list[Record], Comparison]],
        options: EvaluationConfig,
    ) -> "Summary":  # fmt: skip
        """Makes the tables.

        Args:
            corpus: its name.
            date: the day.
            about: what the corpus is.
            records: of all systems, compared with their teachers and, in pairings, with themselves.
            exports: of exported networks, compared with their models.
            best: see ``results.best_levels``.
            over_seeds: see ``results.compare_over_seeds``.
            options: what is reported, and how.
        """
        names = sorted({record["set"] for record in records}, key=lambda name: (name.startswith(options.dev_set), name))
        primary, sections = options.primary_scoring, []
        for name in names:
            trials = next(record["trials"] for record in records if record["set"] == name)
            tables = [
                ("", error_table(records, name, best, options)),
                (f"Costs of {primary}:", cost_table(records, name, best, options)),
                (f"EER of {primary} (%) by condition: gender of both sides, duration of the shorter, "
                 "signal-to-noise ratio of the noisier.", condition_table(records, name, best, options)),
                (f"EER of {primary} (%) by test duration: the middle so many seconds of the test "
                 "utterance's voiced frames; models are enrolled from whole utterances.",
                 duration_table(records, name, best, options)),
                (f"EER of {primary} (%) across models: a student with its teacher's back end, and "
                 "with the teacher's embeddings for models or for test utterances.",
                 across_table(records, name, best, options)),
                ("Exported networks, as ONNX Runtime computes them (docs/deployment.md), compared with the models that "
                 "they are made of:", export_table(exports, name, options)),
                ("Over training seeds, which the intervals here count as well:",
                 seed_table(over_seeds, name, options)),
            ]  # fmt: skip
            sections.append(Section(name, trials, [(title, table) for title, table in tables if table]))
        notes = NOTES.format(percent=100 * options.confidence, **vars(options))
        return cls(corpus, date, about, notes, sections, scatter_table(records, options))

    def write_markdown(self, file: IO[str], page: str, images: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """Writes it.

        Args:
            file: RESULTS.md.
            page: the name of the page with the figures, beside it.
            images: list, or "" for what belongs to none -> title and file name of each figure, beside it.
        """
        links = {name: ", ".join(f"[{title}]({quote(path)})" for title, path in few) for name, few in images.items()}
        file.write(f"# Results: {self.corpus}\n\n{self.date}. {self.about}\n\n{self.notes}\n\n")
        file.write(f"With figures: [{page}]({page})" + (f"; {links['']}" if links.get("") else "") + ".\n")
        for section in self.sections:
            file.write(f"\n## {section.name} ({section.trials:,} trials)\n\n")
            tables = [[title, ""] * bool(title) + table.markdown() for title, table in section.tables]
            file.write("\n\n".join("\n".join(lines) for lines in tables) + "\n")
            if links.get(section.name):
                file.write(f"\nFigures: {links[section.name]}.\n")
        if self.scatter:
            file.write(f"\n## {SCATTER_TITLE}\n\n{SCATTER_NOTES}\n\n" + "\n".join(self.scatter.markdown()) + "\n")
