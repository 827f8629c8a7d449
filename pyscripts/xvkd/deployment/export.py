"""A folded model as ONNX files: from waveforms and from features to embeddings, in float32 and in eight bits."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper

import xvkd
from xvkd import config as configuration
from xvkd.config import limits
from xvkd.deployment.embedder import INPUT, OUTPUT
from xvkd.deployment.front_end import front_end, minimum_samples
from xvkd.deployment.network_graph import EMBEDDING, READS, extend_short, network_graph, silent_is_nan
from xvkd.deployment.nodes import Nodes, make_model
from xvkd.deployment.quantise import quantise
from xvkd.errors import UserError
from xvkd.features.extraction import FeatureConfig
from xvkd.features.network_input import InputConfig
from xvkd.features.vad import VadConfig
from xvkd.kaldi.files import atomic_write
from xvkd.nets.extraction import ExtractionConfig, extract
from xvkd.nets.network import XvectorNetwork

FEATURES = "features"


@dataclass
class ExportConfig:
    """Schema of ``conf/export.yaml``, which says what each key means."""

    opset: int = limits(18, 25)
    calibration_utterances: int = limits(1)
    calibration_seed: int = limits(0)
    reduce_range: bool
    tolerance: float = limits(0.0)
    license: str


@dataclass(frozen=True, eq=False)
class Exporter:
    """Makes the ONNX files of a model.

    Attributes:
        network: of one affine layer after pooling, in evaluation mode.
        record: what the model's config.yaml says.
        where: the model's folder, for messages.
        config: see ``ExportConfig``.
        extraction: how short utterances are extended.
    """

    network: XvectorNetwork
    record: dict[str, Any]
    where: str
    config: ExportConfig
    extraction: ExtractionConfig

    @property
    def shortest(self) -> int:
        """Frames to which a shorter utterance is extended."""
        return max(self.extraction.min_chunk_frames, self.network.min_frames)

    def models(self, utterances: Sequence[np.ndarray]) -> Iterator[tuple[str, onnx.ModelProto]]:
        """The models, one after the other.

        Args:
            utterances: what the network reads of some of the training set, float32 (frames, input_dim).

        Yields:
            what follows the name of its file, such as ".int8.onnx", and the model.

        Raises:
            UserError: the network cannot be exported, or computes something else when it is.
        """
        whole = [frames for frames in utterances if len(frames) >= self.shortest]
        if not whole:
            raise UserError(
                f"{self.where}: no utterance of {self.shortest} frames to calibrate eight-bit values on; name another "
                "data directory"
            )
        input_dim = self.record["build"]["input_dim"]
        network = network_graph(self.network, input_dim, self.shortest, self.config.opset, self.where)
        eight_bits = quantise(network, whole, self.config.reduce_range)
        for precision, graph in (("", network), (".int8", eight_bits)):
            model = self._from_features(graph, input_dim)
            if not precision:
                self._compare(model, utterances)
            yield f".features{precision}.onnx", model
            model = self._from_waveform(graph)
            if model is not None:
                yield f"{precision}.onnx", model

    def _from_features(self, network: onnx.ModelProto, input_dim: int) -> onnx.ModelProto:
        return self._joined(network, Nodes("input"), FEATURES, FEATURES, [1, "frames", input_dim], {})

    def _from_waveform(self, network: onnx.ModelProto) -> onnx.ModelProto | None:
        """None where the VAD is none that a graph has."""
        record = self.record
        reads = InputConfig(**record["input"])
        vad = None
        if reads.voiced_only:
            if record["vad"]["kind"] != "energy":
                logging.warning(
                    "%s: the VAD '%s' is not among those that an exported network has: no file that reads waveforms",
                    self.where, record["vad"]["kind"],
                )  # fmt: skip
                return None
            # Models that say nothing of it are of one rate, and its energies are the same whatever they read.
            marks = {"features": reads.features, **record["vad"]}
            vad = configuration.build(VadConfig, marks, f"{self.where}/config.yaml", "vad")
        features = configuration.build(FeatureConfig, record["features"], f"{self.where}/config.yaml", "features")
        before = Nodes("input")
        found = before("Unsqueeze", front_end(before, INPUT, features, vad, reads), [0])
        return self._joined(
            network, before, INPUT, found, [1, "samples"], {"minimum_samples": minimum_samples(features)}
        )  # fmt: skip

    def _joined(
        self, network: onnx.ModelProto, before: Nodes, reads: str, features: str, shape: list[int | str],
        about: dict[str, Any],
    ) -> onnx.ModelProto:
        """The network behind what makes its input."""
        extend_short(before, features, self.shortest, READS)
        after = Nodes("output")
        silent_is_nan(after, features, EMBEDDING, OUTPUT)
        graph = network.graph
        model = make_model(
            [*before.nodes, *graph.node, *after.nodes], [*before.constants, *graph.initializer, *after.constants],
            reads, shape, OUTPUT, self.network.output_dim, self.config.opset,
        )  # fmt: skip
        model.producer_version = xvkd.__version__
        model.doc_string = description(self.record)
        helper.set_model_props(model, {name: str(value) for name, value in {**self._about(), **about}.items()})
        onnx.checker.check_model(model, full_check=True)
        return model

    def _about(self) -> dict[str, Any]:
        record = self.record
        training = {name: record.get(name) for name in ("role", "distilled", "loss", "teacher", "seed", "unlabelled")}
        return {
            "description": description(record),
            "license": self.config.license,
            "xvkd_version": xvkd.__version__,
            "sample_rate": record["features"]["sample_frequency"],
            "shortest_frames": self.shortest,
            "embedding_dim": self.network.output_dim,
            "backend": "plda",
            "training": json.dumps({name: value for name, value in training.items() if value is not None}),
            "input": json.dumps(record["input"]),
        }

    def _compare(self, model: onnx.ModelProto, utterances: Sequence[np.ndarray]) -> None:
        """Sees to it that an export computes what PyTorch computes of a few utterances."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        some = sorted((frames for frames in utterances if len(frames)), key=len)[:: max(1, len(utterances) // 4)]
        level = self.network.output_level
        found = extract(self.network, enumerate(some), [level], self.extraction, torch.device("cpu"))
        for (_, expected), frames in zip(found, some, strict=True):
            (ours,) = session.run([OUTPUT], {FEATURES: frames[None]})
            apart = np.abs(ours[0] - expected[level]).max() / np.abs(expected[level]).max()
            if not apart <= self.config.tolerance:
                raise UserError(
                    f"{self.where}: exported, it gives embeddings that differ by {apart:.1e} of their largest value "
                    f"from PyTorch's, {len(frames)} frames being read; the network cannot be exported"
                )


def description(record: dict[str, Any]) -> str:
    """What a model is, in a sentence."""
    if record["role"] == "teacher":
        return f"Speaker embeddings: a teacher's level {record['folded']['level']}, with LDA folded in"
    taught = f"distilled from {'+'.join(record['distilled'])}" if record["distilled"] else "trained on labels alone"
    return f"Speaker embeddings: a student {taught} (loss {record['loss']}), with LDA folded in"


def write_models(folder: Path, name: str, models: Iterator[tuple[str, onnx.ModelProto]]) -> list[Path]:
    """Writes models under ``name`` and what belongs behind it; returns their paths."""
    paths = []
    for suffix, model in models:
        paths.append(folder / f"{name}{suffix}")
        content = model.SerializeToString()
        with atomic_write(paths[-1], "wb") as file:
            file.write(content)
        logging.info("%s: %d bytes", paths[-1], len(content))
    return paths
