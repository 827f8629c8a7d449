#!/usr/bin/env python3
"""Trains a back end on labelled embeddings: global mean, LDA and PLDA.

Does the work of Kaldi's ivector-mean, ivector-compute-lda, transform-vec, ivector-normalize-length and
ivector-compute-plda, in one go and on raw embeddings; writes mean.vec, transform.mat and plda, which Kaldi's programs
read. Unlike ivector-compute-lda it keeps no more dimensions than there are speakers less one, or than the embeddings
fill (it warns), and with --pca-dim, LDA sees the directions of most variance only. Labels are utt2spk, not spk2utt.
All that is trained, the mean as well, is of all embeddings that are given, as if they were one archive.
"""

import argparse
from pathlib import Path

import numpy as np

from xvkd import cli
from xvkd.backend.backend import Backend, BackendConfig
from xvkd.errors import UserError
from xvkd.kaldi.specifiers import RSpecifier, rspecifier
from xvkd.kaldi.stored import StoredVectors, join, open_vectors
from xvkd.kaldi.tables import read_table

KEYS = ("lda_dim", "pca_dim", "total_covariance_factor", "num_em_iters")


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_schema(parser, BackendConfig, KEYS, {"pca_dim": None})
    cli.add_pipes(parser)
    parser.add_argument(
        "--further", nargs=2, action="append", default=[], metavar=("VECTORS", "UTT2SPK"),
        help="further embeddings, such as those of degraded copies, and their speakers; again for more",
    )
    parser.add_argument("vectors", type=rspecifier, metavar="VECTORS", help="scp:FILE or ark:FILE of embeddings")
    parser.add_argument("utt2spk", type=Path, metavar="UTT2SPK")
    parser.add_argument("folder", type=Path, metavar="OUTDIR", help="gets mean.vec, transform.mat and plda")
    args = parser.parse_args()
    options = cli.schema_values(args)
    loaded = [labelled(args.vectors, args.utt2spk, args.allow_pipes)]
    for given, utt2spk in args.further:
        try:
            loaded.append(labelled(rspecifier(given), Path(utt2spk), args.allow_pipes))
        except argparse.ArgumentTypeError as error:
            parser.error(f"argument --further: {error}")
        sizes = [vectors.shape[1] for vectors, _ in loaded]
        if sizes[-1] != sizes[0]:
            raise UserError(f"{given}: {sizes[-1]} dimensions, but {args.vectors} has {sizes[0]}; give one level's")
    speakers = np.unique(np.concatenate([speakers for _, speakers in loaded]), return_inverse=True)[1]
    vectors = join([vectors for vectors, _ in loaded])
    try:
        Backend.train(vectors, speakers, **options).save(args.folder)
    except UserError as error:
        raise UserError(f"{args.vectors}: {error}") from None


def labelled(given: RSpecifier, table: Path, allow_pipes: bool) -> tuple[np.ndarray | StoredVectors, np.ndarray]:
    """Embeddings (utterances, dim), which stay on disk if they are many, and the speaker of each."""
    utterances, vectors = open_vectors(given, allow_pipes)
    utt2spk = read_table(table)
    unknown = [utterance for utterance in utterances if utterance not in utt2spk]
    if unknown:
        raise UserError(
            f"{table}: '{unknown[0]}' of {given} is missing ({len(unknown)} of {len(utterances)} utterances are); "
            "add them"
        )
    return vectors, np.array([utt2spk[utterance] for utterance in utterances])


if __name__ == "__main__":
    cli.run(main)
