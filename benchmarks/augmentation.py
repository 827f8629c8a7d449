#!/usr/bin/env python3
"""Speed of augmentation, in times real time on one core: reading, degrading and MFCC, kind by kind; and on the fly.

usage: benchmarks/augmentation.py data/synthetic/train data/synthetic/noise

Method: one thread; the same 300 utterances, read once before the clock starts, so that the disk does not count; the
time of each kind is that of loading its cuts (what Lhotse does to the audio) and of computing MFCC from them, and
`clean` has nothing done to it. On the fly: chunks of 200 frames, all of them degraded, a second and process.
"""

import argparse
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from machine import machine

from xvkd import config
from xvkd.augmentation.augmenter import Augmenter
from xvkd.augmentation.config import KINDS, AugmentationConfig
from xvkd.augmentation.noise_corpus import NoiseCorpus
from xvkd.features.cuts import load_cut, utterance_cuts
from xvkd.features.extraction import FeatureExtractor
from xvkd.kaldi.datadir import DataDir
from xvkd.training.augmented import AugmentingReader
from xvkd.training.config import load_input_config
from xvkd.training.data import UtteranceReader

UTTERANCES, CHUNKS, CHUNK_FRAMES = 300, 600, 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data directory with manifests, features and VAD")
    parser.add_argument("noise", type=Path, help="what prepare_noise.py has written")
    args = parser.parse_args()
    torch.set_num_threads(1)
    reads, features, _ = load_input_config("conf/inputs/mfcc_cmn_voiced.yaml")
    options = config.load(AugmentationConfig, "conf/augmentation/online.yaml")
    extractor, augmenter = FeatureExtractor(features), Augmenter(options, NoiseCorpus(args.noise))
    speakers = DataDir(args.data).speakers()
    cuts = list(islice(utterance_cuts(args.data), UTTERANCES))
    seconds = sum(cut.duration for cut in cuts)
    rng = np.random.default_rng(0)
    work = {"clean": cuts}
    for kind in KINDS:
        work[kind] = [augmenter(cut, speakers[cut.id], kind, rng)[0] for cut in cuts]
    work["speed 0.9"] = [cut.perturb_speed(0.9, affix_id=False) for cut in cuts]
    rate = features.sample_frequency
    print(machine())
    print(f"{'kind':<12}{'audio, x real time':>20}{'with MFCC':>12}")
    for kind, chosen in work.items():
        audio = [load_cut(cut, rate) for cut in chosen]
        start = time.perf_counter()
        for cut in chosen:
            load_cut(cut, rate)
        middle = time.perf_counter()
        for samples in audio:
            extractor(samples)
        end = time.perf_counter()
        print(f"{kind:<12}{seconds / (middle - start):>20.0f}{seconds / (end - start):>12.0f}")
    data_dir = DataDir(args.data)
    clean = UtteranceReader([data_dir], reads)
    reader = AugmentingReader(
        clean, [data_dir], speakers, Augmenter(replace(options, online=1.0), NoiseCorpus(args.noise)), features, reads
    )
    names = [cut.id for cut in cuts if cut.id in reader]
    for label, source in (("clean, from features", clean), ("degraded, from audio", reader)):
        start = time.perf_counter()
        for number in range(CHUNKS):
            source.chunk(names[number % len(names)], CHUNK_FRAMES, rng.random(), number)
        print(f"{label}: {CHUNKS / (time.perf_counter() - start):.0f} chunks of {CHUNK_FRAMES} frames a second")


if __name__ == "__main__":
    main()
