#!/usr/bin/env python3
"""Feature extraction against kaldi-native-fbank, on one thread.

usage: benchmarks/features.py [--seconds N] [--repeats N]     needs benchmarks/requirements.txt

Method: the same synthetic utterances (noise, 2 s to 6 s; the content does not matter to the speed), already in
memory, go through both programs with the options of conf/features/*.yaml and dither 0. Programs take turns,
--repeats times; each one's best time counts. The features are compared first: a ratio between programs that
compute different things would say nothing. Fetching kaldi-native-fbank's frames one by one, as its Python interface
has it, is left out of its time. Kaldi's own compute-mfcc-feats ran at 1800 x real time on one core of
another machine, reading and writing included.
"""

import argparse
from collections.abc import Callable

import kaldi_native_fbank as knf
import numpy as np
import torch
from machine import ROOT, machine, seconds_of
from native_fbank import peer

from xvkd import config
from xvkd.features.extraction import FeatureConfig, FeatureExtractor


def extract_all(extract: Callable, utterances: list[np.ndarray]) -> None:
    for samples in utterances:
        extract(samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=1200, help="speech in all (1200)")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each program (5)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}, torch {torch.__version__}, kaldi-native-fbank {knf.__version__}, one thread")
    random = np.random.default_rng(0)
    for path in sorted((ROOT / "conf" / "features").glob("*.yaml")):
        if "sample_frequency" not in path.read_text(encoding="utf-8"):
            continue
        options = config.load(FeatureConfig, path)
        lengths = random.uniform(2, 6, args.seconds // 4) * options.sample_frequency
        utterances = [random.normal(0, 1000, int(length)).astype(np.float32) for length in lengths]
        programs = {"ours": FeatureExtractor(options), "kaldi-native-fbank": peer(options)}
        ours, theirs = (program(utterances[0]) for program in programs.values())
        theirs = np.stack([theirs.get_frame(frame) for frame in range(theirs.num_frames_ready)])
        distance = np.abs(ours - theirs).max()
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(args.repeats):
            for name, program in programs.items():
                times[name].append(seconds_of(extract_all, program, utterances))
        speech = sum(map(len, utterances)) / options.sample_frequency
        ours, theirs = (speech / min(values) for values in times.values())
        print(
            f"{path.stem}: ours {ours:,.0f} x real time, kaldi-native-fbank {theirs:,.0f} x: ours is "
            f"{ours / theirs:.2f} times as fast, and {ours / 1800:.2f} times as Kaldi's 1800 x; "
            f"features differ by {distance:.1e} at most"
        )


if __name__ == "__main__":
    main()
