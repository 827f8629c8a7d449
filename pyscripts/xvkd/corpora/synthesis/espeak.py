"""The eSpeak NG speech synthesiser: generated voices in, samples out, the same bytes each time.

eSpeak NG keeps one voice, one noise generator (seeded from the clock) and much else in global
variables, and what it spoke before changes what it speaks next. Each batch is therefore spoken by
a child of a process that has loaded the library but never initialised it, with the noise's seed
set. ``espeakng-loader`` brings the library and its data.
"""

import ctypes
import os
import pickle
import signal
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xvkd.errors import UserError

SAMPLING_RATE = 22050  # of eSpeak NG's English voices, in Hz
RATE_LIMITS = (80, 450)  # words a minute

# From espeak-ng/speak_lib.h.
_SYNCHRONOUS, _DO_NOT_EXIT = 2, 0x8000
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_UTF8, _SSML = 1, 0x10
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

_DATA = ("phondata", "phonindex", "phontab", "intonations", "en_dict")  # all that English needs
_LANGUAGES = "lang/gmw"
_LOUDNESS = 40  # percent; much louder, its automatic gain control would pump
_LONGEST_PATH = 155  # bytes, of a data directory; eSpeak NG cuts longer ones
_SECONDS = 300  # after which a child counts as hung; it needs a fraction of one
_REMEDY = "install it again: python -m pip install --force-reinstall espeakng-loader"


@dataclass(frozen=True)
class Prompt:
    """One utterance to speak.

    Attributes:
        ssml: the text, with SSML mark-up.
        voice: number of the voice among those given.
        rate: words a minute, 80 to 450.
        pitch: 0 to 99; 50 is the voice's own, 25 more are half an octave.
        range: 0 to 99, of pitch; 50 is the voice's own, 0 is monotone.
    """

    ssml: str
    voice: int
    rate: int
    pitch: int
    range: int


class Synthesiser:
    """eSpeak NG with a private data directory; use as a context manager.

    Raises:
        UserError: eSpeak NG is not installed or does not load, or TMPDIR is too long.
    """

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError:
            raise UserError(
                "the synthetic corpus needs eSpeak NG: python -m pip install espeakng-loader"
            ) from None
        try:
            self._library = ctypes.CDLL(espeakng_loader.get_library_path())
            self._installed = Path(espeakng_loader.get_data_path())
        except (OSError, RuntimeError) as error:
            raise UserError(f"eSpeak NG does not load ({error}); {_REMEDY}") from None
        for name in (*_DATA, _LANGUAGES):
            if not (self._installed / name).exists():
                raise UserError(f"{self._installed / name}: missing from eSpeak NG's data; {_REMEDY}")

    def __enter__(self) -> "Synthesiser":
        self._temporary = tempfile.TemporaryDirectory(prefix="espeak-")
        self._data = Path(self._temporary.name)
        if len(os.fsencode(self._data)) > _LONGEST_PATH:
            self._temporary.cleanup()
            raise UserError(f"{self._data}: too long a path for eSpeak NG; set TMPDIR to a shorter one")
        # Links, and English only: eSpeak NG reads each language and variant file when it starts,
        # and a table of 350 voices is all it has.
        for name in _DATA:
            (self._data / name).symlink_to(self._installed / name)
        (self._data / _LANGUAGES).mkdir(parents=True)
        for language in (self._installed / _LANGUAGES).glob("en*"):
            (self._data / _LANGUAGES / language.name).symlink_to(language)
        (self._data / "voices" / "!v").mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    def speak(
        self, accent: str, voices: Sequence[str], prompts: Sequence[Prompt], seed: int
    ) -> list[np.ndarray]:
        """Speaks a batch of utterances in a child process.

        Args:
            accent: an English voice of eSpeak NG, for instance "en-us".
            voices: eSpeak NG voice definitions that are laid over it.
            prompts: the utterances, in order.
            seed: of eSpeak NG's own noise, 0 to 2^31 - 1.

        Returns:
            For each prompt its samples, float64 of shape (num_samples,) within [-1, 1), at 22.05 kHz.

        Raises:
            RuntimeError: the child failed; it has written why to standard error.
        """
        for number, definition in enumerate(voices):
            (self._data / "voices" / "!v" / f"voice{number}").write_text(definition, encoding="ascii")
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(read_end)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(_SECONDS)
                spoken = self._speak_here(accent, prompts, seed)
                with os.fdopen(write_end, "wb") as pipe:
                    pickle.dump(spoken, pipe)
                status = 0
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(status)  # skips the parent's exit handlers and open files
        os.close(write_end)
        try:
            with os.fdopen(read_end, "rb") as pipe:
                answer = pipe.read()
        except BaseException:
            os.kill(child, signal.SIGKILL)
            raise
        finally:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != 0:
            ending = f"status {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
            raise RuntimeError(f"eSpeak NG ended with {ending}; its messages, if any, stand above")
        return [np.frombuffer(samples, "<i2") / 32768.0 for samples in pickle.loads(answer)]

    def _speak_here(self, accent: str, prompts: Sequence[Prompt], seed: int) -> list[bytes]:
        """Initialises eSpeak NG in this process and speaks; once in a process's life."""
        library, chunks = self._library, []

        @_CALLBACK
        def collect(samples, count, _events) -> int:
            if samples and count > 0:
                chunks.append(ctypes.string_at(samples, 2 * count))
            return 0

        rate = library.espeak_Initialize(_SYNCHRONOUS, 0, os.fsencode(self._data), _DO_NOT_EXIT)
        if rate != SAMPLING_RATE:
            raise RuntimeError(
                f"espeak_Initialize returned {rate}, not {SAMPLING_RATE} Hz, for {self._data}; if that "
                f"folder was removed meanwhile, start again, else {_REMEDY}"
            )
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        library.espeak_SetSynthCallback(collect)
        spoken, current = [], None
        for prompt in prompts:
            if prompt.voice != current:
                name = f"{accent}+voice{prompt.voice}"
                # An unknown accent gives an error and, silently, a stock voice for all speakers.
                if library.espeak_SetVoiceByName(name.encode()) != 0:
                    raise RuntimeError(f"eSpeak NG knows no voice '{accent}'")
                current = prompt.voice
            for parameter, value in (
                (_RATE, prompt.rate), (_VOLUME, _LOUDNESS), (_PITCH, prompt.pitch), (_RANGE, prompt.range)
            ):
                library.espeak_SetParameter(parameter, value, 0)
            chunks.clear()
            text = prompt.ssml.encode()
            status = library.espeak_Synth(text, len(text) + 1, 0, 0, 0, _UTF8 | _SSML, None, None)
            if status != 0 or not chunks:
                raise RuntimeError(f"espeak_Synth: status {status} for '{prompt.ssml}'")
            spoken.append(b"".join(chunks))
        return spoken
