#!/usr/bin/env python3
"""Takes over a teacher's embeddings that some other toolkit wrote: any <level>.scp of vectors, a set a folder.

Checks every vector, and writes scripts that name the archives where they are. Utterances are found by their ids,
also in the spelling of other toolkits (id10270/5r0dWxy17C8/00001.wav). Those of the data directory that are not
there at every level are left out, counted and listed. A script that has none of them, such as one of speakers, is no
level of the set.
"""

import logging
from pathlib import Path

from xvkd import cli
from xvkd.corpora.names import Names
from xvkd.corpora.paths import absolute_script
from xvkd.distillation.levels import level_names
from xvkd.distillation.teacher import Teacher, describe_given
from xvkd.errors import UserError
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.files import atomic_write
from xvkd.kaldi.scripts import Archives, place_of, read_script
from xvkd.kaldi.tables import write_table
from xvkd.progress import Progress

MOST_NAMED = 5


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--data-dir", required=True, help="the set's data directory")
    parser.add_argument("--describe", action="store_true", help="this is the training set: also writes config.yaml, "
                        "against which the other sets are checked")
    parser.add_argument("source", type=Path, help="folder with <level>.scp")
    parser.add_argument("model", type=Path, help="the teacher's folder: gets embeddings/<set>/<level>.scp")
    args = parser.parse_args()
    data_dir = DataDir(args.data_dir)
    utterances = list(data_dir.speakers())
    known = None if args.describe else Teacher.read(args.model).levels
    scripts = {level: find(args.source / f"{level}.scp", utterances, args.data_dir)
               for level in level_names(args.source) if known is None or level in known}
    scripts = {level: script for level, script in scripts.items() if script}
    common = [utterance for utterance in utterances if all(utterance in script for script in scripts.values())]
    if not scripts or not common:
        raise UserError(f"{args.source}: no <level>.scp with an embedding of the utterances of {args.data_dir}")
    folder = args.model / "embeddings" / data_dir.path.name
    sizes = {}
    for level, script in scripts.items():
        scripts[level] = {utterance: script[utterance] for utterance in common}
        sizes[level] = check(args.source / f"{level}.scp", scripts[level])
        if known and sizes[level] != known[level]:
            raise UserError(f"{args.source / level}.scp: vectors of {sizes[level]} values; those of the training set "
                            f"have {known[level]}: take both from one model")
    for level, script in scripts.items():
        write_table(folder / f"{level}.scp", script)
    with atomic_write(folder / "levels") as file:
        file.writelines(f"{level}\n" for level in scripts)
    if args.describe:
        describe_given(args.model, sizes, str(args.source.parent))
    found = ", ".join(f"{level} ({size})" for level, size in sizes.items())
    logging.info("%s: %d of %d utterances; levels %s", args.source, len(common), len(utterances), found)


def find(path: Path, utterances: list[str], data_dir: str) -> dict[str, str]:
    """Utterance to the place of its embedding, of those that have one; says which have none."""
    script = read_script(path)
    names = Names({key: key for key in script})
    keys = {utterance: names.get(utterance) for utterance in utterances}
    missing = [utterance for utterance, key in keys.items() if key is None]
    if len(missing) == len(utterances):
        logging.warning("%s: none of its %d keys is an utterance of %s; left out", path, len(script), data_dir)
        return {}
    if missing:
        more = ", ..." if len(missing) > MOST_NAMED else ""
        logging.warning("%s: no embedding of %d of %d utterances of %s (%s%s); they are left out", path, len(missing),
                        len(utterances), data_dir, ", ".join(missing[:MOST_NAMED]), more)
    absolute = absolute_script(path, script)
    return {utterance: absolute[key] for utterance, key in keys.items() if key is not None}


def check(path: Path, script: dict[str, str]) -> int:
    """Reads every vector, in the order of the archives; returns their size."""
    archives = Archives()
    progress = Progress(len(script), "vectors")
    first = ""
    size = 0
    for utterance in sorted(script, key=lambda utterance: place_of(script[utterance])[:2]):
        vector = archives.read(script[utterance], utterance)
        first = first or utterance
        size = size or vector.size
        if vector.ndim != 1 or not vector.size or vector.size != size:
            raise UserError(f"{path}: '{utterance}' has the shape {vector.shape}, '{first}' has {(size,)}: embeddings "
                            "are vectors, all of one size")
        progress.update()
    return size


if __name__ == "__main__":
    cli.run(main)
