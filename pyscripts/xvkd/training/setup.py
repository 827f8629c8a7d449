"""What the training of teachers and students begins with."""

import argparse
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from xvkd import cli
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.files import atomic_write
from xvkd.nets.models import BuildRecord, build_network, save_model
from xvkd.nets.network import XvectorNetwork
from xvkd.training.checkpoint import fingerprint
from xvkd.training.config import load_model_config
from xvkd.training.data import ChunkDataset, UtteranceReader, usable_utterances
from xvkd.training.trainer import Trainer

_GIB = 2**30


def training_parser(description: str, kind: str) -> argparse.ArgumentParser:
    """The options that the training commands share."""
    parser = cli.parser(description)
    parser.add_argument("--config", required=True, help=f"conf/{kind}/<name>.yaml")
    cli.add_overrides(parser)
    parser.add_argument("--data-dir", required=True, help="the training set: feats.scp, vad.scp, utt2spk")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("folder", type=Path, metavar="MODEL", help="gets config.yaml and model.safetensors")
    return parser


class TrainingSetup:
    """Configuration and data of a training run.

    Args:
        args: of :func:`training_parser`.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        torch.manual_seed(args.seed)
        self.seed, self.folder, self._config_path = args.seed, args.folder, args.config
        self.config, self.input, self.features, self.vad = load_model_config(args.config, args.set)
        data_dir = DataDir(args.data_dir)
        self._reader = UtteranceReader(data_dir, self.input, self.config.training.cache_gib * _GIB)
        utt2spk = data_dir.speakers()
        self._checksums = usable_utterances(data_dir, self._reader, list(utt2spk))
        self.utterances = list(self._checksums)
        names, self.speakers = np.unique([utt2spk[u] for u in self.utterances], return_inverse=True)
        logging.info("%s: %d utterances of %d speakers", args.data_dir, len(self.utterances), len(names))

    def keep(self, rows: np.ndarray) -> None:
        """Keeps some of the utterances, by index."""
        self.utterances = [self.utterances[row] for row in rows]
        self.speakers = np.unique(self.speakers[rows], return_inverse=True)[1]

    def network(self, package: str, output_dim: int = 0) -> XvectorNetwork:
        """Makes the network, its weights drawn from the seed."""
        self._record = BuildRecord(
            package, self.config.network, self.config.arch, self.features.dim, output_dim
        )
        return build_network(self._record, self._config_path)

    def train(self, task: nn.Module, **identity: Any) -> None:
        """Trains a task (see :class:`Trainer`).

        Args:
            task: what is trained.
            identity: what else, beside configuration, features and speakers, tells this run from others;
                a checkpoint of another one is not resumed.
        """
        dataset = ChunkDataset(self._reader, self.utterances, self.config.training.chunk_frames)
        key = fingerprint(
            asdict(self.config), asdict(self.input), asdict(self.features), self.seed, self.utterances,
            self.speakers.tolist(), self._checksums, identity,
        )
        Trainer(
            task, dataset, len(self.utterances), self.config.training, self.folder, self.seed, key
        ).run()

    def finish(self, network: XvectorNetwork, **record: Any) -> None:
        """Writes ``config.yaml`` (with ``record`` at its head), then ``model.safetensors``."""
        content = {
            **record,
            "seed": self.seed,
            "parameters": network.num_parameters(),
            "levels": {
                level: {"size": size, "parameters": network.num_parameters(level)}
                for level, size in network.levels.items()
            },
            "build": asdict(self._record),
            "training": asdict(self.config.training),
            "input": asdict(self.input),
            "features": asdict(self.features),
            "vad": asdict(self.vad),
        }
        with atomic_write(self.folder / "config.yaml") as file:
            yaml.safe_dump(content, file, sort_keys=False)
        save_model(self.folder, network)
        logging.info("%s: %d parameters", self.folder, network.num_parameters())
