"""How well a network tells speakers apart that it is not trained on, looked at while it is trained."""

import zlib
from collections.abc import Mapping

import numpy as np
import torch

from xvkd.errors import UserError
from xvkd.evaluation.metrics import eer
from xvkd.nets.extraction import ExtractionConfig, extract
from xvkd.nets.network import XvectorNetwork
from xvkd.training.checkpoint import checksum
from xvkd.training.data import UtteranceReader


class DevelopmentSet:
    """Some utterances of other speakers, in memory.

    Args:
        reader: gives them.
        speakers: utterance -> speaker.
        most_utterances: how many are taken, from as many speakers as possible with two at least; always the same.
        most_frames: of each of them, from its beginning.
        config: how embeddings are extracted.
        where: the data directory, for messages.

    Raises:
        UserError: there are not two speakers with two utterances each.
    """

    def __init__(
        self, reader: UtteranceReader, speakers: Mapping[str, str], most_utterances: int, most_frames: int,
        config: ExtractionConfig, where: str,
    ) -> None:  # fmt: skip
        self._inputs: list[tuple[str, np.ndarray]] = []
        for utterance in _choice(speakers):
            frames = reader[utterance][:most_frames] if utterance in reader else np.empty(0)
            if len(frames):
                self._inputs.append((utterance, frames))
            if len(self._inputs) == most_utterances:
                break
        labels = np.array([speakers[utterance] for utterance, _ in self._inputs])
        one, other = np.triu_indices(len(labels), k=1)
        self._same = labels[one] == labels[other]
        if not self._same.any() or self._same.all():
            raise UserError(f"--dev-dir {where}: too small; it needs two speakers, and two voiced utterances of each")
        self._pairs, self._config = (one, other), config

    def checksums(self) -> dict[str, int]:
        """Of each utterance; others end the training elsewhere."""
        return {utterance: checksum(frames) for utterance, frames in self._inputs}

    def eer(self, network: XvectorNetwork, device: torch.device) -> float:
        """The equal error rate of all pairs, in percent: cosine of output-level embeddings less their mean."""
        training = network.training
        network.eval()
        level = network.output_level
        found = extract(network, self._inputs, [level], self._config, device)
        embeddings = np.stack([levels[level] for _, levels in found]).astype(np.float64)
        network.train(training)
        embeddings -= embeddings.mean(axis=0)
        embeddings /= np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-10)
        scores = (embeddings @ embeddings.T)[self._pairs]
        return 100 * eer(scores[self._same], scores[~self._same])[0]


def _choice(speakers: Mapping[str, str]) -> list[str]:
    """All utterances in an order that follows from their names alone: two of each speaker, then two more of each..."""
    ordered = sorted(speakers, key=lambda utterance: (zlib.crc32(utterance.encode()), utterance))
    seen: dict[str, int] = {}
    rounds = []
    for utterance in ordered:
        speaker = speakers[utterance]
        seen[speaker] = seen.get(speaker, 0) + 1
        rounds.append(((seen[speaker] - 1) // 2, zlib.crc32(speaker.encode()), speaker, utterance))
    return [utterance for *_, utterance in sorted(rounds)]
