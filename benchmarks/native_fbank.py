"""kaldi-native-fbank as a stand-in for the project's features. Apart: whoever measures its memory wants no torch."""

from collections.abc import Callable
from typing import Any

import kaldi_native_fbank as knf
import numpy as np


def peer(options: Any) -> Callable[[np.ndarray], knf.OnlineMfcc | knf.OnlineFbank]:
    """kaldi-native-fbank with the options of a FeatureConfig; the frames are inside what it returns."""
    own = knf.MfccOptions() if options.kind == "mfcc" else knf.FbankOptions()
    own.frame_opts.dither = 0.0
    own.frame_opts.samp_freq = options.sample_frequency
    own.frame_opts.frame_length_ms = options.frame_length
    own.frame_opts.frame_shift_ms = options.frame_shift
    own.frame_opts.snip_edges = options.snip_edges
    own.mel_opts.num_bins = options.num_mel_bins
    own.mel_opts.low_freq = options.low_freq
    own.mel_opts.high_freq = options.high_freq
    own.use_energy = options.kind == "mfcc" and options.use_energy
    if options.kind == "mfcc":
        own.num_ceps = options.num_ceps
        own.cepstral_lifter = options.cepstral_lifter
        own.raw_energy = True
    make = knf.OnlineMfcc if options.kind == "mfcc" else knf.OnlineFbank

    def extract(samples: np.ndarray) -> knf.OnlineMfcc | knf.OnlineFbank:
        computer = make(own)
        computer.accept_waveform(options.sample_frequency, samples)
        computer.input_finished()
        return computer

    return extract
