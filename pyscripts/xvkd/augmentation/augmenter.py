"""Degrades an utterance: adds noise, music or other speakers, or puts it into a room."""

from collections.abc import Iterator
from itertools import chain, repeat
from typing import TYPE_CHECKING

import numpy as np

from xvkd.augmentation.config import KINDS, AugmentationConfig
from xvkd.augmentation.noise_corpus import NoiseCorpus
from xvkd.errors import UserError

if TYPE_CHECKING:
    from lhotse.cut import Cut
    from lhotse.cut.mixed import MixTrack

_SHORTEST = 0.1  # seconds: a rest of an utterance that is shorter gets no further noise
_TELEPHONE_RATE = 8000  # Hz
_TRIES = 20  # to draw somebody else for a babble


class Augmenter:
    """Draws how an utterance is degraded; Lhotse does it when the audio is loaded.

    Args:
        config: kinds and how strong they are.
        corpus: what there is to add.

    Attributes:
        kinds: those that have a weight and recordings, with their probabilities.
    """

    def __init__(self, config: AugmentationConfig, corpus: NoiseCorpus) -> None:
        self.config, self._corpus = config, corpus
        pools = {"noise": corpus.noise, "music": corpus.music, "babble": corpus.speech, "reverb": corpus.rirs}
        weights = {kind: getattr(config, kind).weight for kind in KINDS if pools[kind]}
        total = sum(weights.values())
        if not total:
            raise UserError("the noise corpus has nothing of the kinds that the augmentation wants: conf/augmentation/")
        self.kinds = {kind: weight / total for kind, weight in weights.items() if weight}

    def draw_kind(self, rng: np.random.Generator) -> str:
        """One of the kinds, by their weights."""
        return list(self.kinds)[rng.choice(len(self.kinds), p=list(self.kinds.values()))]

    def __call__(self, cut: "Cut", speaker: str, kind: str, rng: np.random.Generator) -> "tuple[Cut, float | None]":
        """Degrades one utterance, and perhaps sends what comes of it over a telephone.

        Args:
            cut: of the utterance.
            speaker: who is not heard in the background too.
            kind: one of ``kinds``.
            rng: all that is random.

        Returns:
            The degraded cut, of the same length, and its signal-to-noise ratio in dB; None where there is a room alone.
        """
        degraded, snr = self._degrade(cut, speaker, kind, rng)
        if self.config.telephone and rng.random() < self.config.telephone:
            degraded = _telephone(degraded)
        return degraded, snr

    def _degrade(
        self, cut: "Cut", speaker: str, kind: str, rng: np.random.Generator
    ) -> "tuple[Cut, float | None]":  # fmt: skip
        config, corpus = self.config, self._corpus
        if kind == "reverb" or (corpus.rirs and rng.random() < config.reverberate):
            rir = corpus.rirs[rng.integers(len(corpus.rirs))].recording
            rate = cut.sampling_rate
            cut = cut.reverb_rir(rir if rir.sampling_rate == rate else rir.resample(rate), affix_id=False)
            if kind == "reverb":
                return cut, None
        options = getattr(config, kind)

        def draw() -> float:
            return float(options.snr[rng.integers(len(options.snr))])

        snr = draw()
        if kind != "babble":
            ratios = repeat(snr) if options.snr_of == "all" else chain([snr], iter(draw, None))
            tracks = self._fill(cut, getattr(corpus, kind), options.gap, ratios, "", kind == "music", rng)
            return self._mix(cut, tracks), snr if options.snr_of == "all" else _overall(tracks)
        speakers = int(rng.integers(options.speakers[0], options.speakers[1] + 1))
        if options.snr_of == "each":
            ratios = [snr, *(draw() for _ in range(speakers - 1))]
        else:
            ratios = [snr + 10 * float(np.log10(speakers))] * speakers
        tracks = [
            track for ratio in map(repeat, ratios)
            for track in self._fill(cut, corpus.speech, 0.0, ratio, speaker, True, rng)
        ]  # fmt: skip
        return self._mix(cut, tracks), -10 * float(np.log10(sum(10 ** (-ratio / 10) for ratio in ratios)))

    @staticmethod
    def _mix(cut: "Cut", tracks: "list[MixTrack]") -> "Cut":
        from lhotse.cut import MixedCut
        from lhotse.cut.mixed import MixTrack

        return MixedCut(id=cut.id, tracks=[MixTrack(cut=cut), *tracks])

    def _fill(
        self, cut: "Cut", pool: "list[Cut]", gap: float, ratios: Iterator[float], speaker: str, background: bool,
        rng: np.random.Generator,
    ) -> "list[MixTrack]":
        """Pieces of recordings, one behind the other, from the beginning to the end of an utterance.

        Args:
            cut: of the utterance.
            pool: recordings.
            gap: seconds between two.
            ratios: the next piece's signal-to-noise ratio in dB.
            speaker: who is not to be heard.
            background: Kaldi repeats one recording, where foreground noises are drawn one by one.
            rng: draws.
        """
        from lhotse import MonoCut
        from lhotse.cut.mixed import MixTrack

        rate, total, place = cut.sampling_rate, cut.num_samples, 0
        tracks: list[MixTrack] = []
        as_kaldi = self.config.placing == "kaldi"
        while place == 0 or total - place > _SHORTEST * rate:
            if not (tracks and as_kaldi and background):
                source = _draw(pool, speaker, rng)
            if source.sampling_rate != rate:
                source = source.resample(rate)
            count = min(source.num_samples, total - place)
            first = 0 if as_kaldi else int(rng.integers(source.num_samples - count + 1))
            piece = MonoCut(
                id=source.id, start=round(source.start + first / rate, 8), duration=count / rate,
                channel=source.channel, recording=source.recording, supervisions=[],
            )
            tracks.append(MixTrack(cut=piece, offset=place / rate, snr=next(ratios)))
            place += count + round(gap * rate)
        return tracks


def _telephone(cut: "Cut") -> "Cut":
    """What a GSM telephone leaves of a cut: 8 kHz, coded at full rate (GSM 06.10), at the rate that it had."""
    from lhotse.augmentation import Compress, Resample
    from lhotse.cut import MixedCut
    from lhotse.utils import fastcopy

    if not isinstance(cut, MixedCut):
        return cut.compress("gsm", 0.0)
    rate = cut.sampling_rate
    steps = [Compress("gsm", 0.0)]
    if rate != _TELEPHONE_RATE:
        steps = [Resample(rate, _TELEPHONE_RATE), *steps, Resample(_TELEPHONE_RATE, rate)]
    return fastcopy(cut, transforms=[*(cut.transforms or []), *steps])


def _overall(tracks: "list[MixTrack]") -> float:
    """The signal-to-noise ratio, in dB, of noises one behind the other together, less the gaps between them."""
    seconds = [track.cut.duration for track in tracks]
    powers = [10 ** (-track.snr / 10) for track in tracks]
    return -10 * float(np.log10(np.average(powers, weights=seconds)))


def _draw(pool: "list[Cut]", speaker: str, rng: np.random.Generator) -> "Cut":
    """One of the cuts, of another speaker if there is any."""
    for _ in range(_TRIES):
        cut = pool[rng.integers(len(pool))]
        if not speaker or not cut.supervisions or cut.supervisions[0].speaker != speaker:
            break
    return cut
