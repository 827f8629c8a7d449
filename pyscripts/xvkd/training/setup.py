"""What the training of teachers and students begins with."""

import argparse
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from xvkd import cli
from xvkd import config as configuration
from xvkd.augmentation.augmenter import Augmenter
from xvkd.augmentation.config import AugmentationConfig
from xvkd.augmentation.noise_corpus import NoiseCorpus
from xvkd.errors import UserError
from xvkd.kaldi.datadir import DataDir
from xvkd.nets.extraction import ExtractionConfig
from xvkd.nets.models import STUDENTS, BuildRecord, build_network, finish_model
from xvkd.nets.network import XvectorNetwork
from xvkd.training import ranks
from xvkd.training.augmented import AugmentingReader, noise_fingerprint
from xvkd.training.checkpoint import fingerprint
from xvkd.training.classification import SpeakerClassification, make_classifier, save_classifier
from xvkd.training.config import check_chunks, load_model_config, load_objective
from xvkd.training.data import ChunkDataset, Reader, UtteranceReader, long_enough, usable_utterances
from xvkd.training.development import DevelopmentSet
from xvkd.training.initial import read_initial
from xvkd.training.objective import Objective
from xvkd.training.sampling import Pool, Shards
from xvkd.training.shards import ShardReader, shard_settings
from xvkd.training.trainer import Trainer

_GIB = 2**30


def training_parser(description: str, kind: str) -> argparse.ArgumentParser:
    """The options that the training commands share."""
    parser = cli.parser(description)
    parser.add_argument("--config", required=True, help=f"conf/{kind}/<name>.yaml")
    cli.add_overrides(parser)
    parser.add_argument(
        "--data-dir", required=True, action="append", metavar="DIR",
        help="a training set, with features, VAD and utt2spk; again for further ones, which may be copies of its "
        "utterances (utt2uniq)",
    )
    parser.add_argument(
        "--dev-dir", metavar="DIR", help="a set of other speakers, for the EER after every training.dev_every epochs"
    )
    parser.add_argument(
        "--augmentation", metavar="FILE", help="conf/augmentation/<name>.yaml: chunks are degraded on the fly"
    )
    parser.add_argument("--noise", type=Path, metavar="DIR", help="the noise corpus; with --augmentation")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument(
        "--init-model", type=Path, metavar="MODEL", help="weights to start from: a model's folder, or a checkpoint"
    )
    parser.add_argument("folder", type=Path, metavar="MODEL", help="gets config.yaml and model.safetensors")
    return parser


class TrainingSetup:
    """Configuration and data of a training run.

    Args:
        args: of :func:`training_parser`.
        unlabelled: further data directories, of whose utterances no speaker is known.

    Attributes:
        paths: the data directories.
        unlabelled: those of them without labels.
        utterances: ids of those that are trained on.
        speakers: (utterances,) an index of the speaker of each; -1 where none is known.
        copies: copy -> its original.
    """

    def __init__(self, args: argparse.Namespace, unlabelled: Sequence[str] = ()) -> None:
        self._initial = read_initial(args.init_model, args.folder) if args.init_model else None
        self._started: dict[str, Any] = {}
        self._recorded: dict[str, Any] = {}
        torch.manual_seed(args.seed)
        self.seed, self.folder, self._config_path = args.seed, args.folder, args.config
        self.config, self.input, self.features, self.vad = load_model_config(args.config, args.set)
        self.objective, self._objective_options = load_objective(args.config, self.config, args.set)
        self.paths, self.unlabelled = [*args.data_dir, *unlabelled], list(unlabelled)
        data_dirs = [DataDir(path) for path in self.paths]
        where = ", ".join(self.paths)
        utt2spk = _speakers(data_dirs)
        unknown = _speakers(data_dirs[len(args.data_dir) :])
        if unknown and self.config.training.balance == "speakers":
            raise UserError(
                f"{args.config}: training.balance: speakers needs the speaker of each utterance, which is not known of "
                f"{', '.join(unlabelled)}; set it to utterances"
            )
        self._online: dict[str, Any] = {}
        least = max(self.config.training.min_frames, 1)
        self._shards: ShardReader | None = None
        if self.config.training.reading == "shards":
            if args.augmentation or args.noise:
                raise UserError(
                    f"{args.config}: training.reading: shards have no audio to augment on the fly; set it to random, "
                    "or train on copies (--augmentation copies)"
                )
            self._shards = ShardReader(data_dirs, shard_settings(self.input, self.features, self.vad))
            self._checksums = long_enough(self._shards.checksums_of(utt2spk, least), where, least)
        else:
            cache = self.config.training.cache_gib * _GIB / ranks.ranks_here()
            clean = UtteranceReader(data_dirs, self.input, cache)
            self._reader: Reader = clean
            if args.augmentation or args.noise:
                self._reader = self._augmenting(args.augmentation, args.noise, clean, data_dirs, utt2spk)
            self._checksums = usable_utterances(self._reader, list(utt2spk), where, least)
        self.utterances = self._of_frequent_speakers(utt2spk, unknown, where)
        self.copies = _originals(data_dirs)
        self._development = self._read_development(args.dev_dir)
        self._number_speakers(["" if name in unknown else utt2spk[name] for name in self.utterances])
        logging.info("%s: %d utterances of %d speakers", where, len(self.utterances), len(self._names))
        if unknown:
            logging.info("%d of the utterances are used without labels", np.sum(self.speakers < 0))

    def _augmenting(
        self, path: str | None, noise: Path | None, clean: UtteranceReader, data_dirs: Sequence[DataDir],
        utt2spk: dict[str, str],
    ) -> AugmentingReader:  # fmt: skip
        """A reader of chunks that are degraded on the fly."""
        if not path or not noise:
            raise UserError("--augmentation and --noise: give both, or neither")
        options = configuration.load(AugmentationConfig, path)
        self._online = {"augmentation": {**asdict(options), "noise": noise_fingerprint(noise)}}
        augmenter = Augmenter(options, NoiseCorpus(noise))
        return AugmentingReader(clean, data_dirs, utt2spk, augmenter, self.features, self.input)

    def _of_frequent_speakers(self, utt2spk: dict[str, str], unknown: dict[str, str], where: str) -> list[str]:
        """The usable utterances, less those of speakers who have fewer than training.min_utterances.

        All utterances count that are left, copies included, as in Kaldi's egs/voxceleb/v2.

        Args:
            utt2spk: of all sets.
            unknown: of those sets whose speakers do not count.
            where: the data directories, for messages.

        Raises:
            UserError: of two speakers or more, fewer than two are left.
        """
        frames, least = self.config.training.min_frames, self.config.training.min_utterances
        if max(frames, least) < 2:
            return list(self._checksums)
        counts = Counter({speaker: 0 for name, speaker in utt2spk.items() if name not in unknown})
        counts.update(utt2spk[name] for name in self._checksums if name not in unknown)
        rare = {speaker for speaker, count in counts.items() if count < max(least, 1)}
        kept = [name for name in self._checksums if name in unknown or utt2spk[name] not in rare]
        left = len(counts) - len(rare)
        if left < min(len(counts), 2):
            raise UserError(
                f"{where}: training.min_frames: {frames} and training.min_utterances: {least} leave {left} of "
                f"{len(counts)} speakers; lower them"
            )
        if rare:
            logging.info(
                "%s: %d of %d speakers left out, with %d utterances: fewer than %d each (training.min_utterances)",
                where, len(rare), len(counts), len(self._checksums) - len(kept), max(least, 1),
            )  # fmt: skip
        self._checksums = {name: self._checksums[name] for name in kept}
        return kept

    def _read_development(self, path: str | None) -> DevelopmentSet | None:
        """The set of --dev-dir, if it is looked at."""
        training = self.config.training
        if path is None and training.patience:
            raise UserError(f"training.patience: {training.patience} needs a development set: give --dev-dir")
        if path is None or not training.dev_every:
            return None
        data_dir = DataDir(path)
        extraction = configuration.load(ExtractionConfig, Path(self._config_path).parent.parent / "extraction.yaml")
        return DevelopmentSet(
            UtteranceReader([data_dir], self.input), data_dir.speakers(), training.dev_utterances, training.dev_frames,
            extraction, path,
        )  # fmt: skip

    def _number_speakers(self, speakers: Sequence[str]) -> None:
        """Numbers the speakers of the utterances in the order of their names; those who have none are not known."""
        self._speakers = np.array(speakers, dtype=str)
        known = self._speakers != ""
        self.speakers = np.full(len(speakers), -1)
        self._names, self.speakers[known] = np.unique(self._speakers[known], return_inverse=True)

    def keep(self, rows: np.ndarray) -> None:
        """Keeps some of the utterances, by index."""
        self.utterances = [self.utterances[row] for row in rows]
        self._number_speakers(self._speakers[rows])

    def network(self, package: str, output_dim: int = 0) -> XvectorNetwork:
        """Makes the network, its weights drawn from the seed."""
        self._record = BuildRecord(
            package, self.config.network, self.config.arch, self.features.dim, output_dim
        )
        network = build_network(self._record, self._config_path)
        check_chunks(self.config.training, network.min_frames, self._config_path)
        return network

    def classification(self, network: XvectorNetwork) -> SpeakerClassification:
        """The network, to be trained on its utterances' speakers."""
        self._recorded = {"objective": asdict(self._objective_options)}
        return SpeakerClassification(
            network, torch.from_numpy(self.speakers), self.objective, self._objective_options
        )

    def classifier(self, dim: int, speakers: Sequence[str] | None = None) -> tuple[Objective, torch.Tensor]:
        """A classifier of its own for a student that is distilled, on its embedding.

        Args:
            dim: of the embedding.
            speakers: which speakers it tells apart, in their order; None: those of training.

        Returns:
            the classifier, and int64 (utterances,), each one's index in it, -1 where it has none.
        """
        self._recorded = {"objective": asdict(self._objective_options)}
        self._names = self._names if speakers is None else np.array(speakers)
        index = {name: number for number, name in enumerate(self._names.tolist())}
        labels = torch.tensor([index.get(name, -1) for name in self._speakers.tolist()])
        return make_classifier(self.objective, self._objective_options, dim, len(index)), labels

    def save_classifier(self, classifier: Objective, network: XvectorNetwork) -> None:
        """Writes what a teacher tells its speakers apart with, beside the model."""
        if ranks.is_first():
            save_classifier(self.folder, classifier, self._objective_options, network, self._names.tolist())

    def start(self, task: nn.Module) -> bool:
        """Puts the weights of --init-model, if it is given, into a task.

        Returns:
            True if the network's last layer is now that of a finished model.

        Raises:
            UserError: they do not fit.
        """
        if self._initial is None:
            return False
        last = f"segment_layers.{task.network.output_level}"
        left = self._initial.into(task, last if self._record.package == STUDENTS else "", self._about())
        self._started = {"init_model": {"model": str(self._initial.path), "left_random": left}}
        return self._initial.finished and last not in left

    def _about(self) -> dict[str, Any]:
        """What config.yaml and the checkpoints say of the model."""
        return {
            "build": asdict(self._record), "input": asdict(self.input), "features": asdict(self.features),
            "vad": asdict(self.vad), "speakers": fingerprint(self._names.tolist()),
        }  # fmt: skip

    def train(self, task: nn.Module, **identity: Any) -> None:
        """Trains a task (see :class:`Trainer`).

        Args:
            task: what is trained.
            identity: what else, beside configuration, features and speakers, tells this run from others;
                a checkpoint of another one is not resumed.
        """
        names: Sequence = self.utterances
        shards = None
        if self._shards:
            names = np.array(list(self._shards.rows(self.utterances).values()))
            shards = Shards(self._shards.shards.of[names], self._shards.shards.sizes)
        pool = Pool(self.utterances, self.speakers, self.copies, shards)
        if len(pool) < len(self.utterances):
            logging.info("%d of the utterances are copies", len(self.utterances) - len(pool))
        key = fingerprint(
            asdict(self.config), self._recorded, asdict(self.input), asdict(self.features), self.seed,
            self.utterances, self.speakers.tolist(), self._checksums, self.copies, identity, self._online,
            self._initial.checksums() if self._initial else None,
            self._development.checksums() if self._development else None,
        )  # fmt: skip
        Trainer(
            task, partial(ChunkDataset, self._shards or self._reader, names), pool, self.config.training, self.folder,
            self.seed, key, self._about(), self._development,
        ).run()  # fmt: skip

    def finish(self, network: XvectorNetwork, **record: Any) -> None:
        """Writes ``config.yaml`` (with ``record`` at its head), then ``model.safetensors``."""
        content = {
            **record, **self._started, "seed": self.seed, "training": asdict(self.config.training),
            **self._recorded, **self._online, "input": asdict(self.input), "features": asdict(self.features),
            "vad": asdict(self.vad),
        }
        if ranks.is_first():
            finish_model(self.folder, network, self._record, content)
        logging.info("%s: %d parameters", self.folder, network.num_parameters())


def _speakers(data_dirs: Sequence[DataDir]) -> dict[str, str]:
    """Utterance to speaker, of all directories; UserError if two have an utterance of one name."""
    found: dict[str, str] = {}
    for data_dir in data_dirs:
        speakers = data_dir.speakers()
        twice = next((utterance for utterance in speakers if utterance in found), None)
        if twice is not None:
            raise UserError(f"{data_dir.path}: utterance '{twice}' is in another training set too; rename it")
        found |= speakers
    return found


def _originals(data_dirs: Sequence[DataDir]) -> dict[str, str]:
    """Copy to original, of those sets that are copies of others' utterances."""
    copies: dict[str, str] = {}
    for data_dir in data_dirs:
        if (data_dir.path / "utt2uniq").exists():
            copies |= data_dir.table("utt2uniq")
    return copies
