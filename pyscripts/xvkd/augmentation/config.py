"""Schemas of ``conf/augmentation/*.yaml`` and ``conf/noise.yaml``."""

from dataclasses import dataclass

from xvkd.config import choices, limits
from xvkd.corpora.synthesis.draws import range_problem

KINDS = ("noise", "music", "babble", "reverb")


@dataclass
class NoiseOptions:
    """Recordings of noise, or of music, one behind the other."""

    weight: float = limits(0.0)  # how often, against the weights of the other kinds; 0: never
    snr: list[float] = limits(-30, 60)  # dB, one of which is drawn for a copy
    snr_of: str = choices("all", "each")  # of all recordings of a copy, or a ratio is drawn for each of them
    gap: float = limits(0.0, 60.0)  # seconds between recordings, where one is shorter than the utterance


@dataclass
class BabbleOptions:
    """Other speakers, all at once."""

    weight: float = limits(0.0)
    snr: list[float] = limits(-30, 60)
    snr_of: str = choices("sum", "each")  # whose ratio it is: all speakers' together, or, as in Kaldi, each one's
    speakers: list[int] = limits(1, 50)  # [least, most]


@dataclass
class ReverbOptions:
    """A room alone."""

    weight: float = limits(0.0)


@dataclass
class AugmentationConfig:
    """How copies are made, or chunks augmented on the fly."""

    seed: int = limits(0)
    copies: int = limits(0, 20)  # of each utterance
    deal: str = choices("random", "each")  # a copy is of a kind drawn by weight; or there are so many of each kind
    subset: int = limits(0)  # copies of all that are kept; 0: all
    subset_by: str = choices("random", "even")  # which: even is from all over their sorted list, as in Kaldi
    # Recordings begin at random places, others behind them; or as in Kaldi at their beginning, and music and babble
    # that are shorter than the utterance are repeated.
    placing: str = choices("random", "kaldi")
    online: float = limits(0.0, 1.0)  # on the fly: the probability that a chunk is augmented
    reverberate: float = limits(0.0, 1.0)  # the probability that a copy of another kind is in a room too
    telephone: float = limits(0.0, 1.0)  # the probability that a copy comes over a telephone, of 8 kHz, coded by GSM
    noise: NoiseOptions
    music: NoiseOptions
    babble: BabbleOptions
    reverb: ReverbOptions

    def validate(self) -> str | None:
        """Says what is impossible in the combination."""
        if not any(getattr(self, kind).weight for kind in KINDS) and (self.copies or self.online):
            return f"copies or online without any kind: give one of {', '.join(KINDS)} a weight"
        for kind in ("noise", "music", "babble"):
            if not getattr(self, kind).snr and getattr(self, kind).weight:
                return f"{kind}.snr: an empty list"
        return range_problem(**{"babble.speakers": self.babble.speakers})


@dataclass
class NoiseConfig:
    """The noise corpus; the last four only count where there is no MUSAN, or no RIRS_NOISES."""

    seed: int = limits(0)
    held_out: float = limits(0.0, 0.9)  # share of given noises and rooms that training never uses
    vocals: bool  # MUSAN's music with voices too
    rooms: list[str]  # of RIRS_NOISES/simulated_rirs
    babble_utterances: int = limits(1)  # of the data, at most, from which babble is mixed
    sample_frequency: int = limits(4000, 192000)  # Hz
    files: int = limits(1, 1000)  # of each sort of synthesised noise
    seconds: float = limits(1.0, 600.0)  # of each file
    responses: int = limits(1, 100000)  # of rooms
