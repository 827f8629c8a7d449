"""Voices: what tells one speaker from another, as eSpeak NG voice definitions.

The keywords are those of eSpeak NG's docs/voices.md. Formant 0 is a low component below the first
formant, 1 to 3 make the vowels, 4 and 5 colour the voice, 6 to 8 are weak high ones.
"""

from dataclasses import dataclass, replace

import numpy as np

from xvkd.config import choices, limits
from xvkd.corpora.synthesis.draws import range_problem, ratio, uniform

NUM_FORMANTS = 9
_STRENGTH, _WIDTH = 95, 110  # percent of eSpeak NG's own
_TONE = ((600, 170), (1200, 135), (2000, 110))  # eSpeak NG's own spectral tilt: Hz, amplitude 0 to 255


@dataclass
class BySex:
    """A mean for each sex."""

    female: float = limits(0.1, 1000)
    male: float = limits(0.1, 1000)


@dataclass
class SpeakerOptions:
    """How speakers differ. Spreads are standard deviations of logarithms: 0.05 is about 5 %."""

    accents: list[str] = choices(
        "en", "en-us", "en-us-nyc", "en-029", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd",
        "en-gb-x-rp",
    )
    pitch_hz: BySex
    pitch_spread: float = limits(0, 0.5)
    pitch_range: list[float] = limits(0, 1)
    tract_scale: BySex
    tract_spread: float = limits(0, 0.2)
    formant_spread: float = limits(0, 0.2)
    strength_spread: float = limits(0, 0.5)
    width_spread: float = limits(0, 0.5)
    tone_spread: float = limits(0, 0.5)
    flutter: list[float] = limits(0, 20)
    roughness: list[float] = limits(0, 7)
    breath: list[float] = limits(0, 20)
    rate_wpm: float = limits(100, 300)
    rate_spread: float = limits(0, 0.3)

    def validate(self) -> str | None:
        if not self.accents:
            return "accents: name at least one"
        return range_problem(
            pitch_range=self.pitch_range, flutter=self.flutter, roughness=self.roughness, breath=self.breath
        )


@dataclass
class SessionOptions:
    """How a speaker's voice differs from session to session; spreads as for speakers."""

    pitch_spread: float = limits(0, 0.3)
    formant_spread: float = limits(0, 0.1)
    tone_spread: float = limits(0, 0.5)


@dataclass(frozen=True)
class Voice:
    """One voice.

    Attributes:
        pitch: middle of its pitch, in Hz.
        pitch_range: highest less lowest pitch of plain statements, as a fraction of ``pitch``.
        formants: frequency, strength and width against eSpeak NG's own voice, shape (9, 3).
        tone: amplitudes at the three frequencies of the spectral tilt, 0 to 255.
        flutter, roughness: as eSpeak NG counts them.
        breath: strength of breathing noise at each of formants 1 to 8.
        rate: words a minute.
    """

    pitch: float
    pitch_range: float
    formants: np.ndarray
    tone: tuple[float, ...]
    flutter: int
    roughness: int
    breath: tuple[int, ...]
    rate: float

    def definition(self) -> str:
        """The voice as the text of an eSpeak NG variant file."""
        low, high = self.pitch * (1 - self.pitch_range / 2), self.pitch * (1 + self.pitch_range / 2)
        tone = " ".join(f"{hz} {amplitude:.0f}" for (hz, _), amplitude in zip(_TONE, self.tone, strict=True))
        formants = [
            f"formant {number} {frequency:.0f} {strength:.0f} {width:.0f}"
            for number, (frequency, strength, width) in enumerate(100 * self.formants)
        ]
        return "\n".join([
            "language variant", "name generated", f"pitch {low:.0f} {high:.0f}", *formants, f"tone {tone}",
            f"flutter {self.flutter}", f"roughness {self.roughness}",
            "breath " + " ".join(str(strength) for strength in self.breath), "",
        ])

    def in_session(self, rng: np.random.Generator, options: SessionOptions) -> "Voice":
        """The same speaker's voice on another day."""
        formants = self.formants.copy()
        formants[:, 0] *= [ratio(rng, options.formant_spread) for _ in range(NUM_FORMANTS)]
        return replace(
            self, formants=formants, pitch=self.pitch * ratio(rng, options.pitch_spread),
            tone=tuple(min(255.0, value * ratio(rng, options.tone_spread)) for value in self.tone),
        )


def draw_voice(rng: np.random.Generator, gender: str, options: SpeakerOptions) -> Voice:
    """Draws a new speaker's voice.

    Args:
        rng: the speaker's stream.
        gender: "female" or "male".
        options: how speakers differ.
    """
    tract = getattr(options.tract_scale, gender) * ratio(rng, options.tract_spread)
    formants = np.array([
        [
            tract * ratio(rng, options.formant_spread),
            _STRENGTH / 100 * ratio(rng, options.strength_spread),
            _WIDTH / 100 * ratio(rng, options.width_spread),
        ]
        for _ in range(NUM_FORMANTS)
    ])
    breath = uniform(rng, options.breath)
    return Voice(
        pitch=getattr(options.pitch_hz, gender) * ratio(rng, options.pitch_spread),
        pitch_range=uniform(rng, options.pitch_range),
        formants=formants,
        tone=tuple(min(255.0, value * ratio(rng, options.tone_spread)) for _, value in _TONE),
        flutter=round(uniform(rng, options.flutter)),
        roughness=round(uniform(rng, options.roughness)),
        # All eight are given: eSpeak NG leaves those that are not uninitialised.
        breath=tuple(round(breath * rng.uniform(0.5, 1.5)) for _ in range(NUM_FORMANTS - 1)),
        rate=options.rate_wpm * ratio(rng, options.rate_spread),
    )
