#!/usr/bin/env python3
"""Gathers the figures of all models of an experiment: results.json, RESULTS.md, and index.html with plots.

Each student is compared with its teacher's best level, speaker draw by speaker draw (docs/evaluation.md). The plots of
the primary scoring are also written as PNG files, if matplotlib is installed. The file "files" names them all.
"""

import json
import logging
import time
from pathlib import Path

from xvkd import cli, config
from xvkd.corpora.prepare import CorpusConfig
from xvkd.evaluation.exports import collect_exports, compare_exports
from xvkd.evaluation.page.document import Material
from xvkd.evaluation.page.sources import read_curves, read_trainings
from xvkd.evaluation.page.write import PAGE, write_images, write_page
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import best_levels, collect, compare_over_seeds, compare_pairings, compare_with_teachers
from xvkd.evaluation.summary import Summary
from xvkd.kaldi.files import atomic_write


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--evaluation", type=Path, required=True, help="conf/evaluation.yaml")
    cli.add_overrides(parser, "evaluation")
    parser.add_argument("--corpus", type=Path, required=True, help="conf/corpora/<name>.yaml")
    parser.add_argument(
        "--show", type=Path, action="append", default=[], metavar="FILE",
        help="further configuration for the page to show; can be given several times",
    )  # fmt: skip
    parser.add_argument("experiment", type=Path, help="exp/<corpus>, with a folder a model")
    parser.add_argument("folder", type=Path, help="gets RESULTS.md, results.json, index.html and PNG files")
    args = parser.parse_args()
    about = config.load(CorpusConfig, args.corpus).about
    options = config.load(EvaluationConfig, args.evaluation, args.evaluation_set)
    records, draws = collect(args.experiment, args.experiment.name)
    best = best_levels(records, options.dev_set, options.primary_scoring)
    compare_with_teachers(records, draws, best, options)
    compare_pairings(records, draws, options)
    exports, export_draws = collect_exports(args.experiment, args.experiment.name)
    compare_exports(exports, records, draws | export_draws, options)
    old = dict.fromkeys(record["system"] for record in records if "eer_ci" not in record)
    if old:
        logging.warning(
            "without intervals and calibrated costs, because an earlier version scored them: %s; repeat stage 9 "
            "with the options that they were trained with", ", ".join(old),
        )  # fmt: skip
    with atomic_write(args.folder / "results.json") as file:
        json.dump(records + exports, file, indent=1)
    over_seeds = compare_over_seeds(records, draws, options)
    date = time.strftime("%Y-%m-%d")
    summary = Summary.of(args.experiment.name, date, about, records, exports, best, over_seeds, options)
    folders = dict.fromkeys(record["system"].split("/")[0] for record in records)
    material = Material(
        summary, records, best, options, read_curves(args.experiment, records),
        read_trainings(args.experiment, folders), args.experiment, [args.evaluation, args.corpus, *args.show],
    )  # fmt: skip
    write_page(material, args.folder)
    images = write_images(material, args.folder)
    with atomic_write(args.folder / "RESULTS.md") as file:
        summary.write_markdown(file, PAGE, images)
    files = ["results.json", "RESULTS.md", PAGE, *(name for few in images.values() for _, name in few)]
    with atomic_write(args.folder / "files") as file:
        file.writelines(f"{name}\n" for name in files)


if __name__ == "__main__":
    cli.run(main)
