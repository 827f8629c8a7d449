#!/usr/bin/env python3
"""Marks voiced frames, by their energy as Kaldi's compute-vad, or by an HMM with minimum durations.

usage: compute_vad.py --config conf/features/vad.yaml scp:feats.scp ark,scp:vad.ark,vad.scp
       compute_vad.py --config conf/features/vad_hmm.yaml [--vad-backend k2] scp:feats.scp ark,scp:vad.ark,vad.scp
       compute_vad.py --config conf/features/vad_hmm.yaml --vad-posteriors ark,scp:p.ark,p.scp scp:feats.scp

C0 of FEATURES must be the log energy. The configuration's kind says which VAD it is and which options there are:
below are those of the energy VAD; with the HMM's --config, or --kind=hmm, --help shows the HMM's.

As Kaldi's program, it leaves out utterances without frames, keeps those without a voiced frame unless told otherwise
(--omit-unvoiced-utts, --whole-unvoiced-utts), logs both, and returns 1 if no utterance has a voiced frame. Unlike
there, options have no defaults (give them, or a --config), and NaN, infinity or matrices of unequal width in FEATURES
are errors.
"""

import argparse
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from xvkd import cli
from xvkd.errors import UserError
from xvkd.features.vad import VadConfig, energy_vad
from xvkd.features.vad_hmm import BACKENDS, VadHmmConfig, hmm_posteriors, hmm_vad
from xvkd.features.vads import SCHEMAS, vad_schema
from xvkd.kaldi.archives import open_random, open_writer, read_items
from xvkd.kaldi.specifiers import rspecifier, wspecifier
from xvkd.kaldi.tables import slice_part
from xvkd.progress import Progress

BATCH_UTTERANCES, BATCH_FRAMES = 64, 100_000


def main() -> None:
    args = parse_arguments()
    options = args.schema(**cli.schema_values(args))
    if args.vad is None and args.vad_posteriors is None:
        raise UserError("nothing to write: name an archive for the decisions, or give --vad-posteriors")
    if args.vad_posteriors and isinstance(options, VadConfig):
        raise UserError("--vad-posteriors: only the HMM has them; give --config conf/features/vad_hmm.yaml")
    keys, table = read_features(args)
    count = Count()
    progress = Progress(len(keys or []), "utterances")
    with ExitStack() as stack:
        vad, posteriors = (
            stack.enter_context(open_writer(output, False, args.allow_pipes)) if output else None
            for output in (args.vad, args.vad_posteriors)
        )
        for utterances, features in batches(with_frames(table, str(args.input), count)):
            if vad:
                for utterance, voiced in zip(utterances, decide(features, options, args.vad_backend), strict=True):
                    count.add(utterance, voiced)
                    if args.whole_unvoiced_utts and not voiced.any():
                        voiced[:] = 1
                    if voiced.any() or args.omit_unvoiced_utts == "false":
                        vad.write(utterance, voiced)
            if posteriors:
                chances = hmm_posteriors(features, options, args.vad_backend)
                for utterance, chance in zip(utterances, chances, strict=True):
                    posteriors.write(utterance, chance)
            count.utterances += len(utterances)
            if keys:
                progress.update(len(utterances))
        # A part may be empty where there are more jobs than utterances.
        if not count.utterances and args.part[1] == 1:
            raise UserError(f"{args.input}: no utterance with frames ({count.empty} without)")
    if vad:
        count.report()
        if args.part[1] == 1 and count.utterances and not count.voiced_frames:
            raise UserError(f"{args.input}: no utterance has a voiced frame")


@dataclass
class Count:
    """What became of the utterances."""

    utterances: int = 0
    empty: int = 0
    unvoiced: list[str] = field(default_factory=list)
    frames: int = 0
    voiced_frames: int = 0

    def add(self, utterance: str, voiced: np.ndarray) -> None:
        """Counts the decisions of an utterance."""
        self.frames += len(voiced)
        self.voiced_frames += int(voiced.sum())
        if not voiced.any():
            logging.warning("'%s' has no voiced frame", utterance)
            self.unvoiced.append(utterance)

    def report(self) -> None:
        """Logs the figures."""
        logging.info(
            "%d utterances, %d of them without a voiced frame; left out %d without frames; voiced: %.4f of %d frames",
            self.utterances, len(self.unvoiced), self.empty, self.voiced_frames / max(self.frames, 1), self.frames,
        )  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    """The command line; ``schema`` is that of the chosen kind of VAD."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config")
    first.add_argument("--kind", choices=SCHEMAS)
    chosen = first.parse_known_args()[0]
    schema = SCHEMAS[chosen.kind] if chosen.kind else vad_schema(chosen.config) if chosen.config else VadConfig
    kind = next(name for name, known in SCHEMAS.items() if known is schema)

    parser = cli.parser(__doc__)
    cli.add_schema(parser, schema, absent={"kind": kind, "features": ""})
    cli.add_pipes(parser)
    parser.add_argument(
        "--omit-unvoiced-utts", nargs="?", const="true", default="false", choices=("true", "false"),
        help="leaves out utterances without a voiced frame; false where it is not given",
    )  # fmt: skip
    parser.add_argument(
        "--whole-unvoiced-utts", action="store_true", help="marks all frames of utterances without a voiced one"
    )
    parser.add_argument("--vad-backend", choices=BACKENDS, default="viterbi", help="who decodes the HMM")
    parser.add_argument(
        "--vad-posteriors", type=wspecifier, metavar="OUTPUT", help="gets the HMM's probability of speech in each frame"
    )
    parser.add_argument("--part", type=cli.part, default=(1, 1), metavar="JOB/NUM_JOBS", help="of the sorted keys")
    parser.add_argument("input", type=rspecifier, metavar="FEATURES", help="scp:FEATS.SCP, ark:-, ...")
    parser.add_argument(
        "vad", type=wspecifier, nargs="?", metavar="VAD", help="ark,scp:VAD.ARK,VAD.SCP, ...: 1 where voiced, else 0"
    )
    parser.set_defaults(schema=schema)
    return parser.parse_intermixed_args()


def read_features(args: argparse.Namespace) -> tuple[list[str] | None, Iterator[tuple[str, np.ndarray]]]:
    """The keys of the utterances, None if only reading tells them, and the utterances one by one."""
    if args.input.kind == "scp" and not args.input.permissive:
        reader = open_random(args.input, args.allow_pipes)
        keys = list(reader) if args.part == (1, 1) else slice_part(reader, args.part)
        return keys, ((key, reader[key]) for key in keys)
    if args.part != (1, 1):
        raise UserError(f"{args.input}: --part needs a script, scp:FILE, all of which can be read")
    return None, read_items(args.input, args.allow_pipes)


def with_frames(table: Iterator[tuple[str, np.ndarray]], name: str, count: Count) -> Iterator[tuple[str, np.ndarray]]:
    """The utterances that have frames."""
    for utterance, features in table:
        if features.size == 0:
            logging.warning("skipped: '%s' has no frames", utterance)
            count.empty += 1
        elif features.ndim != 2:
            raise UserError(f"{name}: '{utterance}' is a vector; matrices of features are expected")
        else:
            yield utterance, features


def batches(utterances: Iterator[tuple[str, np.ndarray]]) -> Iterator[tuple[list[str], list[np.ndarray]]]:
    """Keys and features of so many utterances that deciding on all at once is fast and needs little memory."""
    keys: list[str] = []
    features: list[np.ndarray] = []
    for key, frames in utterances:
        keys.append(key)
        features.append(frames)
        if len(keys) == BATCH_UTTERANCES or sum(map(len, features)) >= BATCH_FRAMES:
            yield keys, features
            keys, features = [], []
    if keys:
        yield keys, features


def decide(features: list[np.ndarray], options: VadConfig | VadHmmConfig, backend: str) -> list[np.ndarray]:
    """The decisions of each utterance, float32 (frames,)."""
    if isinstance(options, VadHmmConfig):
        return hmm_vad(features, options, backend)
    return [energy_vad(frames, options) for frames in features]


if __name__ == "__main__":
    cli.run(main)
