#!/usr/bin/env python3
"""Gathers the figures of all models of an experiment: results.json and RESULTS.md."""

import json
import time
from pathlib import Path

from xvkd import cli, config
from xvkd.corpora.prepare import CorpusConfig
from xvkd.evaluation.report import EvaluationConfig
from xvkd.evaluation.results import best_levels, collect, table
from xvkd.kaldi.files import atomic_write


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--evaluation", required=True, help="conf/evaluation.yaml")
    parser.add_argument("--corpus", type=Path, required=True, help="conf/corpora/<name>.yaml")
    parser.add_argument("experiment", type=Path, help="exp/<corpus>, with a folder a model")
    parser.add_argument("folder", type=Path, help="gets RESULTS.md and results.json")
    args = parser.parse_args()
    about = config.load(CorpusConfig, args.corpus).about
    dcf_names = config.load(EvaluationConfig, args.evaluation).dcf_names()
    records = collect(args.experiment, args.corpus.stem)
    with atomic_write(args.folder / "results.json") as file:
        json.dump(records, file, indent=1)
    best = best_levels(records, "dev", "plda")
    names = sorted({record["set"] for record in records}, key=lambda name: (name == "dev", name))
    with atomic_write(args.folder / "RESULTS.md") as file:
        file.write(f"# Results: {args.corpus.stem}\n\n{time.strftime('%Y-%m-%d')}. {about}\n\n")
        file.write(
            "Sizes are compared with the whole teacher without its classifier; a level's parameters are those of the "
            "layers that it needs. The teacher's best level is chosen on dev, by PLDA.\n"
        )
        for name in names:
            trials = next(record["trials"] for record in records if record["set"] == name)
            lines = table(records, name, dcf_names, best)
            file.write(f"\n## {name} ({trials:,} trials)\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    cli.run(main)
