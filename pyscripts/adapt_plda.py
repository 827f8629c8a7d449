#!/usr/bin/env python3
"""Adapts a PLDA model to unlabelled vectors of another domain, as Kaldi's ivector-adapt-plda.

Where the vectors vary more than the model says, the excess is shared out between its within- and between-speaker
covariance. Like Kaldi's program, it takes vectors after mean, LDA and length normalisation; with --backend=DIR it
takes raw embeddings and applies those of that folder first. The scales have no defaults (Kaldi's are in
conf/adaptation.yaml).
"""

import logging

from xvkd import cli
from xvkd.backend.backend import AdaptationConfig, Backend
from xvkd.backend.plda import Plda
from xvkd.errors import UserError
from xvkd.kaldi.archives import load_vectors
from xvkd.kaldi.plda_format import read_plda, write_plda
from xvkd.kaldi.specifiers import rspecifier


def main() -> None:
    parser = cli.parser(__doc__)
    cli.add_schema(parser, AdaptationConfig)
    parser.add_argument("--backend", metavar="DIR", help="folder of the mean.vec and transform.mat for raw embeddings")
    cli.add_pipes(parser)
    parser.add_argument("model", metavar="PLDA-IN", help="PLDA model, binary or text")
    parser.add_argument("vectors", type=rspecifier, metavar="VECTORS", help="scp:FILE or ark:FILE")
    parser.add_argument("adapted", metavar="PLDA-OUT", help="gets the adapted model")
    args = parser.parse_args()
    options = cli.schema_values(args)
    plda = Plda(*read_plda(args.model))
    utterances, vectors = load_vectors(args.vectors, args.allow_pipes)
    try:
        if args.backend:
            vectors = Backend.load(args.backend).project(vectors)
        adapted = plda.adapt(vectors, **options)
    except UserError as error:
        raise UserError(f"{args.vectors}: {error}") from None
    write_plda(args.adapted, adapted.mean, adapted.transform, adapted.psi)
    logging.info("%s: adapted to %d utterances", args.adapted, len(utterances))


if __name__ == "__main__":
    cli.run(main)
