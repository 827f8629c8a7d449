"""Puts a distillation together: whose embeddings are whose targets, and where these come from."""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xvkd.distillation.config import LossConfig
from xvkd.distillation.levels import Embeddings, Level
from xvkd.distillation.sources import Dumped, Frozen, Looped, keeps_frames
from xvkd.distillation.targets import Targets, make_targets
from xvkd.distillation.task import Distillation, losses_of
from xvkd.distillation.teacher import Teacher, weights_checksum
from xvkd.errors import UserError
from xvkd.kaldi.datadir import DataDir
from xvkd.nets.network import XvectorNetwork
from xvkd.nets.onnx_network import OnnxNetwork
from xvkd.training.checkpoint import checksum
from xvkd.training.classification import read_classifier
from xvkd.training.config import check_chunks
from xvkd.training.setup import TrainingSetup


class Assembly:
    """The parts of a student's training. Leaves those utterances out of which a teacher has no embedding.

    Args:
        setup: the student's configuration and data.
        teachers: the first is the one whose posteriors can be imitated.
        levels: which are distilled.
        loss: how.
        folders: of embeddings, one for each data directory; None: those of the teachers.

    Raises:
        UserError: levels and loss do not go together, or something of the teachers is missing.
    """

    def __init__(
        self, setup: TrainingSetup, teachers: Sequence[Teacher], levels: Sequence[Level], loss: LossConfig,
        folders: Sequence[Path] | None,
    ) -> None:  # fmt: skip
        self._setup, self._teachers, self._levels, self._loss = setup, teachers, levels, loss
        self._vectors = [level for level in levels if not level.is_sequence]
        self._classifier, self._output_level = None, None
        self._networks: dict[int, XvectorNetwork | OnnxNetwork] = {}  # of the teachers in the loop, by number
        check_sequences(levels, loss)
        # The student's weights are drawn as if no teacher had been built before.
        with torch.random.fork_rng(devices=[]):
            if losses_of(loss, "posteriors"):
                self._classifier = read_classifier(teachers[0].folder)
                self._output_level = imitated_level(levels, loss, self._classifier.level, str(teachers[0].folder))
            if loss.source == "loop":
                self._networks = self._read_networks()
        self._read_embeddings(folders)

    def _read_networks(self) -> dict[int, XvectorNetwork | OnnxNetwork]:
        """The teachers that have levels, by number; UserError if they cannot read what the student reads."""
        setup, networks = self._setup, {}
        reads = {"features": asdict(setup.features), "input": asdict(setup.input)}
        for number in sorted({level.teacher for level in self._levels}):
            networks[number] = self._teachers[number].network(reads)
            check_chunks(setup.config.training, networks[number].min_frames, str(self._teachers[number].folder))
        return networks

    def _read_embeddings(self, given: Sequence[Path] | None) -> None:
        """The embeddings of those who have one of their own, and which row is whose target."""
        setup = self._setup
        origin = _originals(setup) if self._loss.clean_targets else {}
        # Sets of copies need none where these have the targets of their originals.
        read = [
            not origin or any(origin.get(name, name) == name for name in DataDir(path).speakers())
            for path in setup.paths
        ]
        folders = [list(itertools.compress(every, read)) for every in self._folders(given)]
        embeddings = Embeddings(self._vectors, folders)
        rows = [row for row, name in enumerate(setup.utterances) if origin.get(name, name) in embeddings]
        where = ", ".join(setup.paths)
        whose = "the teacher" if len({level.teacher for level in self._vectors}) == 1 else "every teacher"
        if not rows:
            raise UserError(f"{where}: none of the utterances has an embedding of {whose}")
        left_out = len(setup.utterances) - len(rows)
        if left_out:
            logging.warning("%s: %d utterances left out: they have no embedding of %s", where, left_out, whose)
        setup.keep(np.array(rows))
        sources = [origin.get(name, name) for name in setup.utterances]
        owners = {name: row for row, name in enumerate(dict.fromkeys(sources))}
        self._rows = np.array([owners[name] for name in sources])
        self._embeddings = [embeddings.take(level, list(owners)) for level in self._vectors]

    def _folders(self, given: Sequence[Path] | None) -> list[Sequence[Path]]:
        """Of each teacher, where the embeddings of each data directory are."""
        paths = self._setup.paths
        if given is None:
            return [[teacher.folder / "embeddings" / Path(path).name for path in paths] for teacher in self._teachers]
        if len(self._teachers) > 1:
            raise UserError("--embeddings: is for one teacher; of several, each has its own in MODEL/embeddings")
        if len(given) != len(paths):
            raise UserError(
                f"--embeddings: {len(given)} folders for {len(paths)} of --data-dir and --unlabelled-dir: give one "
                "for each"
            )
        return [given]

    def targets(self, pca_dim: int) -> Targets:
        """The targets of the training utterances; ``pca_dim`` as in :func:`make_targets`."""
        speakers = np.full(len(self._embeddings[0]), -1)
        speakers[self._rows] = self._setup.speakers
        return make_targets([level.text for level in self._vectors], self._embeddings, speakers, self._loss, pca_dim)

    def task(self, network: XvectorNetwork, targets: Targets) -> Distillation:
        """The student, ready to be trained."""
        loss, setup = self._loss, self._setup
        classifier = labels = posteriors = None
        if self._classifier or loss.label_weight:
            classifier, labels = setup.classifier(
                network.output_dim, self._classifier.speakers if self._classifier else None
            )
            if loss.label_weight and bool((labels < 0).all()):
                raise UserError(
                    f"{', '.join(setup.paths)}: label_weight: {loss.label_weight} needs utterances of known speakers, "
                    "with kl those of the teacher's training; set it to 0"
                )
        if self._classifier:
            posteriors = Frozen(self._classifier.classifier, self._classifier.classifier.scores)
        source: Dumped | Looped
        if self._networks:
            networks = {number: Frozen(teacher) for number, teacher in self._networks.items()}
            source = Looped(networks, self._levels, targets, posteriors, self._output_level)
        else:
            scored = self._embeddings[self._vectors.index(self._output_level)][:] if self._output_level else None
            source = Dumped(targets, self._rows, posteriors, scored)
        return Distillation(network, source, targets.blocks, loss, self._sequences(network), classifier, labels)

    def _sequences(self, student: XvectorNetwork) -> list[tuple[int, float]]:
        """Channels and weight of each level that is regressed frame by frame."""
        sequences = []
        for level in self._levels:
            if not level.is_sequence:
                continue
            teacher, name = self._networks[level.teacher], level.name.rpartition(".")[0]
            frame_levels = [known for known in teacher.levels if known.startswith("frame")]
            if not isinstance(teacher, XvectorNetwork) or name not in frame_levels:
                known = ", ".join(frame_levels) if isinstance(teacher, XvectorNetwork) else "none"
                raise UserError(f"--levels: no '{level.text}': sequences are of frame levels (there are: {known})")
            for network, whose in ((teacher, "teacher"), (student, "student")):
                if not keeps_frames(network, self._setup.features.dim):
                    raise UserError(f"--levels: '{level.text}': impossible: layers of the {whose} are strided")
            sequences.append((teacher.levels[name], self._loss.weight_of(level.text)))
        return sequences

    def identity(self, pca_dim: int) -> dict[str, Any]:
        """What tells this distillation from others: see :meth:`TrainingSetup.train`."""
        more: dict[str, Any] = {}
        if self._classifier:
            tensors = self._classifier.classifier.state_dict().items()
            more["classifier"] = [self._classifier.speakers, {name: checksum(part.numpy()) for name, part in tensors}]
        if self._networks:
            more["teachers"] = {number: weights_checksum(network) for number, network in self._networks.items()}
        return {
            "loss": self._loss.in_force(), "pca_dim": pca_dim, "levels": [level.text for level in self._levels],
            "embeddings": [checksum(part) for part in self._embeddings], **more,
        }  # fmt: skip

    def record(self) -> dict[str, Any]:
        """What config.yaml says of it."""
        own: dict[int, list[str]] = {}
        for level in self._levels:
            own.setdefault(level.teacher, []).append(level.name)
        record: dict[str, Any] = {"teacher_level_parameters": self._teachers[0].parameters_for(own.pop(0, []))}
        if own:
            record["further_teachers"] = {
                self._teachers[number].name: {
                    "teacher": self._teachers[number].folder.name,
                    "teacher_parameters": self._teachers[number].parameters,
                    "teacher_level_parameters": self._teachers[number].parameters_for(levels),
                }
                for number, levels in own.items()
            }
        if self._setup.unlabelled:
            sets = [Path(path).name for path in self._setup.unlabelled]
            record["unlabelled"] = {"sets": sets, "utterances": int(np.sum(self._setup.speakers < 0))}
        return record


def check_sequences(levels: Sequence[Level], loss: LossConfig) -> None:
    """UserError if a level that is frame by frame cannot be distilled so."""
    sequence = next((level.text for level in levels if level.is_sequence), None)
    if sequence is None:
        return
    if loss.source != "loop":
        raise UserError(f"--levels: '{sequence}' is never dumped; choose a loss with source: loop")
    if all(level.is_sequence for level in levels):
        raise UserError(f"--levels: '{sequence}' alone leaves the embedding untrained; add a level such as segment6")
    if not losses_of(loss, "coordinates"):
        raise UserError(f"--levels: '{sequence}' needs a loss that compares coordinates, such as mse or cosine")


def imitated_level(levels: Sequence[Level], loss: LossConfig, output_level: str, teacher: str) -> Level:
    """The level whose posteriors are imitated: that which the first teacher's classifier reads.

    Args:
        levels: that are distilled.
        loss: one that compares posteriors.
        output_level: of the first teacher.
        teacher: its name, for messages.

    Raises:
        UserError: it is not among the levels, or others are that no loss looks at.
    """
    found = next((level for level in levels if (level.teacher, level.name) == (0, output_level)), None)
    if found is None:
        raise UserError(
            f"--levels: kl reads the posteriors of {teacher} from its level '{output_level}', which is not among them; "
            "add it"
        )
    if len(levels) > 1 and not losses_of(loss, "coordinates", "similarities"):
        raise UserError(f"--levels: kl alone reads '{found.text}' and no other level; name it alone, or add a term")
    return found


def _originals(setup: TrainingSetup) -> dict[str, str]:
    """Copy to original; UserError if that of a copy is in none of the sets."""
    there = {name for path in setup.paths for name in DataDir(path).speakers()}
    for name in setup.utterances:
        original = setup.copies.get(name, name)
        if original not in there:
            raise UserError(
                f"{', '.join(setup.paths)}: '{name}' is a copy of '{original}', which is in none of the sets; with "
                "clean_targets: true, give the set of the originals too"
            )
    return setup.copies
