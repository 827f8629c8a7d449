"""Exported networks in the results: one record a file and trial list, compared with the model that it was made of."""

import json
from pathlib import Path

from xvkd.errors import UserError
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import AllDraws, Record, compare_two, describe_system
from xvkd.evaluation.system import METRICS, read_draws
from xvkd.evaluation.tables import Table, ratio_cells, system_cells, with_interval

FOLDER, EXPORTED = "export", "export"
# How exported networks are scored, and how the verifier decides, whatever the primary scoring of the models.
SCORING = "plda"


def collect_exports(experiment: str | Path, corpus: str) -> tuple[list[Record], AllDraws]:
    """Gathers the figures of every exported file that has scores.

    Args:
        experiment: ``exp/<corpus>``, with a folder a model.
        corpus: its name.

    Returns:
        records like those of ``results.collect``, ``role`` being "export", with ``file``, its ``bytes``, what it
        ``reads`` (waveform or features), and ``exported_from``, the model; and the draws of their bootstrap.

    Raises:
        UserError: figures are damaged.
    """
    records: list[Record] = []
    draws: AllDraws = {}
    for path in sorted(Path(experiment).glob(f"*/{FOLDER}/scores/*/{METRICS}")):
        folder, stem = path.parents[3], path.parent.name
        file = path.parents[2] / f"{stem}.onnx"
        if not file.exists():
            continue
        try:
            described = describe_system(folder, "embedding", corpus)
            figures = json.loads(path.read_text(encoding="utf-8"))
            system = {
                **described, "system": f"{folder.name}/{FOLDER}/{stem}", "role": EXPORTED, "file": file.name,
                "bytes": file.stat().st_size, "reads": "features" if ".features" in stem else "waveform",
                "exported_from": described["system"],
            }  # fmt: skip
            records += [
                {**system, "set": name, "scoring": scoring, **one}
                for name, scorings in figures.items() for scoring, one in scorings.items()
            ]  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path.parents[2]}: its figures are damaged ({error}); repeat stage 11") from None
        draws |= {(system["system"], *key): value for key, value in read_draws(path.parent).items()}
    return records, draws


def compare_exports(
    exports: list[Record], records: list[Record], draws: AllDraws, config: EvaluationConfig
) -> None:  # fmt: skip
    """Compares each exported file with its model, list by list: ``eer_ratio``, ``eer_ratio_ci``, ``eer_ratio_upper``.

    Args:
        exports: see ``collect_exports``.
        records: those of the models.
        draws: of the bootstraps of both.
        config: the intervals' confidence.
    """
    models = {(record["system"], record["set"], record["scoring"]): record for record in records}
    for record in exports:
        model = models.get((record["exported_from"], record["set"], record["scoring"]))
        if model is not None:
            record |= compare_two(record, model, draws, config)


def export_table(exports: list[Record], name: str, config: EvaluationConfig) -> Table:
    """Size against error of exported files on the trial list ``name``: one row a file; empty if there is none.

    Args:
        exports: as ``compare_exports`` leaves them.
        name: the list.
        config: for the other columns.
    """
    header = ["exported", "loss", "seed", "file", "reads", "bytes", f"EER {SCORING} (%)"]
    header += ["ratio to the model's", "no worse"]
    rows = []
    for record in exports:
        if (record["set"], record["scoring"]) == (name, SCORING):
            row = system_cells({**record, "role": "student"}, {}, config)
            row += [record["file"], record["reads"], f"{record['bytes']:,}", with_interval(record, "eer_percent")]
            rows.append(row + ratio_cells(record, config))
    return Table(header, rows, left=2)
