#!/usr/bin/env python3
"""Marks voiced frames by their energy, as Kaldi's compute-vad.

Unlike that, it refuses an utterance without a voiced frame, of which no embedding can be made.
"""

from xvkd import cli, config
from xvkd.errors import UserError
from xvkd.features.vad import VadConfig, energy_vad
from xvkd.kaldi.archives import ArchiveWriter, MatrixReader
from xvkd.kaldi.specifiers import input_script, output_pair
from xvkd.kaldi.tables import slice_part
from xvkd.progress import Progress


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--config", required=True, help="conf/features/vad.yaml")
    parser.add_argument("--part", type=cli.part, default=(1, 1), metavar="JOB/NUM_JOBS")
    parser.add_argument("features", type=input_script, metavar="scp:FEATS.SCP", help="C0 is the log energy")
    parser.add_argument("vad", type=output_pair, metavar="ark,scp:VAD.ARK,VAD.SCP")
    args = parser.parse_args()
    options = config.load(VadConfig, args.config)
    reader = MatrixReader(args.features)
    utterances = slice_part(reader.keys(), args.part)
    progress = Progress(len(utterances), "utterances")
    silent = []
    with ArchiveWriter(*args.vad, compress=False) as writer:
        for utterance in utterances:
            voiced = energy_vad(reader[utterance], options)
            if not voiced.any():
                silent.append(utterance)
            writer.write(utterance, voiced)
            progress.update()
        if silent:
            raise UserError(
                f"{args.features}: no voiced frame in {len(silent)} utterances ({', '.join(silent[:5])}"
                f"{', ...' if len(silent) > 5 else ''}): remove these recordings, or lower "
                f"vad_energy_threshold in {args.config}"
            )


if __name__ == "__main__":
    cli.run(main)
