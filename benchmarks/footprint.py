#!/usr/bin/env python3
"""What deployed networks cost: bytes, memory, multiply-accumulates, speed on one core, cold start.

usage: benchmarks/footprint.py [--data-dir DIR] [--rounds N] MODEL...     needs benchmarks/requirements.txt

Each MODEL is a finished teacher or student with folded_lda/ (stage 11). Its systems:
  recipe          PyTorch, as extract_embeddings.py: the network as trained, features by Lhotse's layers
  folded          the same of folded_lda
  waveform, waveform int8, features, features int8     the four files of export_model.py
  baseline        kaldi-native-fbank, VAD and CMN in numpy, then "features" in ONNX Runtime

Method: a process for each system, on one thread. Cold start is the time from its start, with the interpreter and
all imports, until it has the embedding of one second. Then it repeats utterances of 1, 3 and 10 s, all frames of
which are voiced: the best time of each counts. Peak memory is that of the process when it is done with
these. Systems take turns, --rounds times; a figure is the best of the rounds, a ratio the median of the rounds' own
ratios to the baseline of the same model. Bytes are those of the networks' files; PLDA, 0.16 MB for 200 dimensions,
comes to each. Multiply-accumulates are those of convolutions and affine layers in a second of speech; of what reads
waveforms as ONNX, with those of the front end's products.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from machine import ROOT, machine

SECONDS = (1, 3, 10)
LEAST = 0.5  # seconds for which an utterance is repeated
BASELINE = "baseline"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "pyscripts")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="data/synthetic/train", help="calibrates int8 (data/synthetic/train)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each system (3)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL")
    args = parser.parse_args()
    if args.worker:
        work(json.loads(args.worker))
        return
    print(f"{machine()}, one thread")
    for model in args.models:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [sys.executable, ROOT / "pyscripts/export_model.py", "--config", ROOT / "conf/export.yaml",
                 "--extraction", ROOT / "conf/extraction.yaml", "--data-dir", args.data_dir, model / "folded_lda",
                 folder],
                env=ENVIRONMENT, check=True, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            measure(model, Path(folder), args.rounds)


def measure(model: Path, folder: Path, rounds: int) -> None:
    """Measures all systems of a model and prints a table."""
    from xvkd.nets.record import read_record

    (name,) = {path.name.split(".")[0] for path in folder.glob("*.onnx")}
    record = read_record(model / "folded_lda")
    told = {key: record[key] for key in ("features", "vad", "input")}
    systems = {
        BASELINE: {"kind": BASELINE, "path": f"{folder}/{name}.features.onnx", **told},
        "recipe": {"kind": "torch", "path": f"{model}/model.safetensors", "model": str(model)},
        "folded": {"kind": "torch", "path": f"{model}/folded_lda/model.safetensors", "model": f"{model}/folded_lda"},
    }
    for suffix, title in ((".onnx", ""), (".int8.onnx", " int8")):
        for reads, stem in (("waveform", name), ("features", f"{name}.features")):
            systems[reads + title] = {"kind": reads, "path": f"{folder}/{stem}{suffix}"}
            systems[reads + title]["dim"] = record["build"]["input_dim"]
    found: dict[str, list[dict[str, Any]]] = {title: [] for title in systems}
    for _ in range(rounds):
        for title, system in systems.items():
            found[title].append(run(system))
    network, front = macs(model), front_end_macs(record)
    print(f"\n{model}\n")
    head = ["system", "bytes", "MMAC/s", "peak MiB", "cold start s", *(f"x real time, {s} s" for s in SECONDS)]
    print("| " + " | ".join([*head, "speed by baseline's, 3 s"]) + " |")
    print("|---|" + "---:|" * len(head))
    for title, results in found.items():
        own = network["recipe" if title == "recipe" else "folded"] + (front if title.startswith("waveform") else 0)
        speeds = [max(result["speeds"][index] for result in results) for index in range(len(SECONDS))]
        pairs = zip(results, found[BASELINE], strict=True)
        ratio = statistics.median(result["speeds"][1] / base["speeds"][1] for result, base in pairs)
        row = [
            title, f"{Path(systems[title]['path']).stat().st_size:,}", f"{own / 1e6:.1f}",
            f"{min(result['peak'] for result in results) / 2**20:.0f}",
            f"{min(result['cold'] for result in results):.2f}", *(f"{speed:,.0f}" for speed in speeds), f"{ratio:.2f}",
        ]  # fmt: skip
        print("| " + " | ".join(row) + " |", flush=True)


def run(system: dict[str, Any]) -> dict[str, Any]:
    """Measures a system once, in a process of its own."""
    started = time.time()
    command = [sys.executable, __file__, "--worker", json.dumps({**system, "started": started})]
    done = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def work(system: dict[str, Any]) -> None:
    """The process of a system: prints what it measures."""
    import numpy as np

    embed = {"torch": torch_pipeline, BASELINE: baseline}.get(system["kind"], onnx_file)(system)
    random = np.random.default_rng(0)
    utterances = [random.normal(0, 0.03, 16000 * seconds).astype(np.float32) for seconds in SECONDS]
    embed(utterances[0])
    cold = time.time() - system["started"]
    speeds = []
    for seconds, utterance in zip(SECONDS, utterances, strict=True):
        best, end = float("inf"), time.perf_counter() + LEAST
        while time.perf_counter() < end:
            start = time.perf_counter()
            embed(utterance)
            best = min(best, time.perf_counter() - start)
        speeds.append(seconds / best)
    # Not getrusage's, in which Linux counts the process that started this one.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    peak = int(line.split()[1]) * 1024
    print(json.dumps({"cold": cold, "speeds": speeds, "peak": peak}))


def session(path: str) -> Any:
    """A network in ONNX Runtime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def onnx_file(system: dict[str, Any]) -> Any:
    """An exported file alone; one that reads features is given as many frames as there are in the samples."""
    import numpy as np

    network, reads = session(system["path"]), system["kind"]
    if reads == "waveform":
        return lambda samples: network.run(None, {reads: samples[None]})
    frames = np.random.default_rng(0).standard_normal((1, 100 * max(SECONDS), system["dim"])).astype(np.float32)
    return lambda samples: network.run(None, {reads: frames[:, : len(samples) // 160]})


def torch_pipeline(system: dict[str, Any]) -> Any:
    """A model in PyTorch, as the recipe computes it."""
    import torch

    from xvkd.features.extraction import FeatureConfig, FeatureExtractor
    from xvkd.nets.models import load_model

    torch.set_num_threads(1)
    network, record = load_model(system["model"])
    extractor, reads = FeatureExtractor(FeatureConfig(**record["features"])), reader(record)

    @torch.inference_mode()
    def embed(samples: Any) -> Any:
        return network(torch.from_numpy(reads(extractor(samples * 32768)))[None])

    return embed


def baseline(system: dict[str, Any]) -> Any:
    """What there was before: another program's features, numpy, and a network without a front end."""
    import numpy as np
    from native_fbank import peer

    extract, reads = peer(SimpleNamespace(**system["features"])), reader(system)
    network = session(system["path"])

    def embed(samples: Any) -> Any:
        computer = extract(samples * 32768)
        frames = np.stack([computer.get_frame(frame) for frame in range(computer.num_frames_ready)])
        return network.run(None, {"features": reads(frames)[None]})

    return embed


def reader(record: dict[str, Any]) -> Any:
    """VAD and normalisation: features to what the network reads."""
    from xvkd.features.network_input import InputConfig, network_input
    from xvkd.features.vad import VadConfig, energy_vad

    reads, vad = InputConfig(**record["input"]), VadConfig(**record["vad"])
    return lambda features: network_input(features, energy_vad(features, vad), reads)


def macs(model: Path) -> dict[str, float]:
    """Multiply-accumulates per second of a model, as trained and folded."""
    from xvkd.nets.describe import macs_per_second
    from xvkd.nets.models import load_model

    folders = {"recipe": model, "folded": model / "folded_lda"}
    networks = {title: load_model(folder) for title, folder in folders.items()}
    return {
        title: sum(macs_per_second(network, record["build"]["input_dim"]).values())
        for title, (network, record) in networks.items()
    }  # fmt: skip


def front_end_macs(record: dict[str, Any]) -> float:
    """Those of an exported front end: the Fourier transform's two products, mel filters, DCT."""
    from xvkd.features.extraction import FeatureConfig, FeatureExtractor

    extractor = FeatureExtractor(FeatureConfig(**record["features"]))
    constants = extractor.constants()
    bins, mels = int(constants["filters"].any(axis=1).sum()), constants["filters"].shape[1]
    frame = 2 * -(-extractor.length // 2) * bins + bins * mels + constants.get("cosines", constants["window"][:0]).size
    return frame * extractor.config.sample_frequency / extractor.shift


if __name__ == "__main__":
    main()
