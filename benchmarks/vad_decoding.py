#!/usr/bin/env python3
"""Decoding the HMM VAD: our batched Viterbi against a loop over the HMM's states and, where it is installed, k2.

usage: benchmarks/vad_decoding.py [--repeats N]      with k2: .venv_k2/bin/python3 benchmarks/vad_decoding.py

Method: 64 utterances of 2 to 16 s, 58,533 frames in all, of random log-likelihood ratios; 20 states of silence and 10
of speech; one thread. Paths are compared first. The programs take turns, --repeats times; each one's best time counts.
"""

import argparse
import os
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is imported

import numpy as np
from machine import ROOT, machine, seconds_of

from xvkd import config
from xvkd.errors import UserError
from xvkd.features import vad_k2, vad_viterbi
from xvkd.features.vad_hmm import VadHmmConfig

UTTERANCES, FRAMES = 64, 58_533


def loop(ratios: list[np.ndarray], options: VadHmmConfig) -> list[np.ndarray]:
    """Viterbi over all states, utterance by utterance and frame by frame."""
    silence, states = options.min_silence_frames, options.min_silence_frames + options.min_speech_frames
    ends, paths = np.array([silence - 1, states - 1]), []
    for ratio in ratios:
        scores = np.full(states, -np.inf)
        scores[ends] = 0.0, ratio[0]
        sources = np.zeros((len(ratio), states), np.int64)
        speech = np.arange(states) >= silence
        for frame in range(1, len(ratio)):
            source = np.arange(-1, states - 1)
            source[[0, silence]] = ends[::-1]
            reached = scores[source]
            reached[[0, silence]] -= options.grid_cost
            stays = scores[ends] >= reached[ends]
            source[ends[stays]] = ends[stays]
            reached[ends] = np.maximum(reached[ends], scores[ends])
            sources[frame], scores = source, reached + speech * ratio[frame]
        state, path = int(states - 1 - np.argmax(scores[::-1])), np.zeros(len(ratio), bool)
        for frame in range(len(ratio) - 1, -1, -1):
            path[frame], state = state >= silence, sources[frame, state]
        paths.append(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="turns of each program (5)")
    args = parser.parse_args()
    options = config.load(VadHmmConfig, ROOT / "conf" / "features" / "vad_hmm.yaml")
    random = np.random.default_rng(0)
    lengths = random.integers(200, 1600, UTTERANCES)
    lengths[-1] += FRAMES - lengths.sum()
    means = [np.repeat(random.normal(0, 2, length), random.integers(1, 60, length))[:length] for length in lengths]
    ratios = [np.clip(np.round(1024 * random.normal(mean, 1.5)) / 1024, -5, 5) for mean in means]
    programs: dict[str, Callable] = {"batched Viterbi": vad_viterbi.decode, "loop over states": loop}
    programs |= {"batched Viterbi, posteriors": vad_viterbi.posteriors}
    try:
        vad_k2.decode(ratios[:1], options)
        programs |= {"k2": vad_k2.decode, "k2, posteriors": vad_k2.posteriors}
    except UserError as error:
        print(error)
    expected = vad_viterbi.decode(ratios, options)
    for name, program in programs.items():
        if "posteriors" not in name:
            assert all((a == b).all() for a, b in zip(program(ratios, options), expected, strict=True)), name
    best = dict.fromkeys(programs, np.inf)
    for _ in range(args.repeats):
        for name, program in programs.items():
            best[name] = min(best[name], seconds_of(program, ratios, options))
    print(f"{machine()}, numpy {np.__version__}, one thread; {UTTERANCES} utterances, {sum(lengths):,} frames")
    for name, seconds in best.items():
        print(f"{name}: {1000 * seconds:.1f} ms, {seconds / best['batched Viterbi']:.1f} x batched Viterbi")


if __name__ == "__main__":
    main()
