#!/usr/bin/env python3
"""Trains a back end: global mean, LDA and PLDA.

Does the work of Kaldi's ivector-mean, ivector-compute-lda (with a PCA before it where the vectors are
large) and ivector-compute-plda; writes mean.vec, transform.mat and plda in Kaldi's formats.
"""

from pathlib import Path

import numpy as np

from xvkd import cli, config
from xvkd.backend.backend import Backend, BackendConfig
from xvkd.errors import UserError
from xvkd.kaldi.archives import read_vectors
from xvkd.kaldi.specifiers import input_script
from xvkd.kaldi.tables import read_table


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/backend.yaml")
    parser.add_argument("vectors", type=input_script, metavar="scp:VECTORS.SCP")
    parser.add_argument("utt2spk", type=Path)
    parser.add_argument("folder", type=Path, help="gets mean.vec, transform.mat and plda")
    args = parser.parse_args()
    options = config.load(BackendConfig, args.config)
    utterances, vectors = read_vectors(args.vectors)
    utt2spk = read_table(args.utt2spk)
    for utterance in utterances:
        if utterance not in utt2spk:
            raise UserError(f"{args.utt2spk}: utterance '{utterance}' of {args.vectors} is missing")
    speakers = np.unique([utt2spk[utterance] for utterance in utterances], return_inverse=True)[1]
    Backend.train(
        vectors, speakers, options.lda_dim, options.pca_dim, options.total_covariance_factor, options.num_em_iters
    ).save(args.folder)


if __name__ == "__main__":
    cli.run(main)
