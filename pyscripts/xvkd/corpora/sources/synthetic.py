"""The embedded corpus: speech of generated speakers, synthesised by eSpeak NG, through random channels.

A speaker is a generated voice with an accent. A speaker's utterances fall into sessions of two or
three (the first has three, for enrolment); a session is one channel and one shade of the voice. All
that is drawn for a speaker is the speaker's *plan*. It follows from the seed and the speaker's name
alone and stands beside the audio as ``plan.json``: a folder is up to date when its plan is the one
that the options give.
"""

import dataclasses
import json
import math
import shutil
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.signal import resample_poly

from xvkd.config import limits
from xvkd.corpora.synthesis import channel as channels
from xvkd.corpora.synthesis import espeak
from xvkd.corpora.synthesis.draws import range_problem, ratio, stream, uniform
from xvkd.corpora.synthesis.texts import sentence
from xvkd.corpora.synthesis.voices import SessionOptions, SpeakerOptions, draw_voice
from xvkd.errors import UserError
from xvkd.kaldi.files import atomic_write
from xvkd.progress import Progress

if TYPE_CHECKING:
    import lhotse

PLAN = "plan.json"
_PREFIX = {"train": "tr", "dev": "dv", "eval": "ev"}
_SYLLABLES_A_WORD = 1.51  # eSpeak NG's words a minute against our count of syllables
_WHOLE_SESSION = 3  # utterances of a speaker's first session


@dataclass
class SetSize:
    """How many speakers a set has and, as [least, most], how many utterances each of them."""

    speakers: int = limits(1, 9999)
    utterances: list[int] = limits(5, 99)

    def validate(self) -> str | None:
        return range_problem(utterances=self.utterances)


@dataclass
class Sets:
    """The sets, in the order in which they are used."""

    train: SetSize
    dev: SetSize
    eval: SetSize


@dataclass
class UtteranceOptions:
    """How utterances of one session differ. Spreads are standard deviations of logarithms."""

    seconds: list[float] = limits(1, 6)
    rate_spread: float = limits(0, 0.3)
    pitch_spread: float = limits(0, 0.3)
    melody_spread: float = limits(0, 1)
    emphasis: float = limits(0, 1)
    padding: list[float] = limits(0, 2)

    def validate(self) -> str | None:
        return range_problem(seconds=self.seconds, padding=self.padding)


@dataclass
class Options:
    """The ``options`` section of ``conf/corpora/synthetic.yaml``."""

    seed: int = limits(low=0)
    sets: Sets
    speaker: SpeakerOptions
    session: SessionOptions
    utterance: UtteranceOptions
    channel: channels.ChannelOptions


def generate(options: Options, audio_dir: Path, part: tuple[int, int]) -> None:
    """Makes one part's audio: ``<set>/<speaker>/<utterance>.wav``, 16 kHz, mono, 16 bit.

    Speakers that are there already are left alone. The bytes do not depend on the number of parts,
    the order or restarts.

    Args:
        options: the corpus.
        audio_dir: where the sets' folders go.
        part: (job, number of jobs), from 1; the job makes every ``number of jobs``-th speaker.

    Raises:
        UserError: eSpeak NG is missing or fails.
    """
    job, num_jobs = part
    plans = list(_plans(options, slice(job - 1, None, num_jobs)))
    wanted = [(plan, audio_dir / name / plan["speaker"]) for name, plan in plans]
    missing = [(plan, folder) for plan, folder in wanted if not _is_made(plan, folder)]
    progress = Progress(len(wanted), "speakers")
    progress.resume(len(wanted) - len(missing))
    with espeak.Synthesiser() as synthesiser:
        for plan, folder in missing:
            _make(options.seed, plan, folder, synthesiser)
            progress.update()


def manifests(
    options: Options, audio_dir: Path
) -> "dict[str, tuple[lhotse.RecordingSet, lhotse.SupervisionSet]]":
    """Describes the audio that ``generate`` made.

    Returns:
        For train, dev and eval, in this order, the recordings and their supervisions by id; a
        supervision's ``custom["session"]`` tells which utterances share a channel, ``custom["snr_db"]`` how much
        louder than the noise the utterance is, in dB.

    Raises:
        UserError: a speaker's audio is not there, or was made with other options.
    """
    import lhotse
    import soundfile

    found: dict[str, tuple[list, list]] = {name: ([], []) for name in _PREFIX}
    for name, plan in _plans(options, slice(None)):
        folder = audio_dir / name / plan["speaker"]
        if not _is_made(plan, folder):
            raise UserError(
                f"{folder}: not there, incomplete or made with other options; run the corpus stage again"
            )
        for utterance in plan["utterances"]:
            path = str(folder / f"{utterance['id']}.wav")
            info = soundfile.info(path)
            recording = lhotse.Recording(
                id=utterance["id"], sources=[lhotse.AudioSource(type="file", channels=[0], source=path)],
                sampling_rate=info.samplerate, num_samples=info.frames,
                duration=info.frames / info.samplerate, channel_ids=[0],
            )
            found[name][0].append(recording)
            found[name][1].append(lhotse.SupervisionSegment(
                id=recording.id, recording_id=recording.id, start=0.0, duration=recording.duration, channel=0,
                text=utterance["text"], language="English", speaker=plan["speaker"], gender=plan["gender"],
                custom={"session": utterance["session"], "snr_db": utterance["snr_db"]},
            ))
    return {
        name: (lhotse.RecordingSet.from_recordings(recordings), lhotse.SupervisionSet.from_segments(segments))
        for name, (recordings, segments) in found.items()
    }


def session_sizes(num_utterances: int) -> list[int]:
    """Deals utterances into sessions of three and two, the larger ones first; 8 gives 3, 3, 2."""
    sessions = math.ceil(num_utterances / _WHOLE_SESSION)
    smaller, larger = num_utterances // sessions, num_utterances % sessions
    return [smaller + 1] * larger + [smaller] * (sessions - larger)


def _plans(options: Options, chosen: slice) -> Iterator[tuple[str, dict[str, Any]]]:
    """(set name, plan) of some of the speakers of all sets, sorted by set and id."""
    speakers = [
        (name, index)
        for name in _PREFIX
        for index in range(1, getattr(options.sets, name).speakers + 1)
    ]
    for name, index in speakers[chosen]:
        # Women and men alternate, so that adding speakers changes nobody and keeps the balance.
        gender = "female" if index % 2 else "male"
        num_utterances = getattr(options.sets, name).utterances
        yield name, _plan(options, f"{_PREFIX[name]}{index:04d}", gender, num_utterances)


def _plan(options: Options, speaker: str, gender: str, num_utterances: list[int]) -> dict[str, Any]:
    """Draws all about a speaker, as plain values that survive JSON unchanged."""
    rng = stream(options.seed, speaker)
    voice = draw_voice(rng, gender, options.speaker)
    accent = options.speaker.accents[rng.integers(len(options.speaker.accents))]
    sizes = session_sizes(int(rng.integers(num_utterances[0], num_utterances[1] + 1)))
    sessions, utterances = [], []
    for number, size in enumerate(sizes):
        session = f"{speaker}-s{number + 1}"
        rng = stream(options.seed, session)
        shade = voice.in_session(rng, options.session)
        channel = channels.draw_channel(rng, options.channel)
        sessions.append({
            "id": session, "voice": shade.definition(), "channel": dataclasses.asdict(channel),
        })
        for _ in range(size):
            utterance_id = f"{session}-u{len(utterances) + 1:02d}"
            utterances.append({
                "id": utterance_id, "session": session,
                **_draw_utterance(options, utterance_id, shade.rate, channel.snr_db),
            })
    return {
        "speaker": speaker, "gender": gender, "accent": accent, "seed": options.seed,
        "sessions": sessions, "utterances": utterances,
    }


def _draw_utterance(options: Options, utterance_id: str, rate: float, snr_db: float) -> dict[str, Any]:
    """Draws an utterance of a session: what is said, how, and how well it is recorded."""
    rng = stream(options.seed, utterance_id)
    about = options.utterance
    rate = float(np.clip(rate * ratio(rng, about.rate_spread), *espeak.RATE_LIMITS))
    text = sentence(rng, uniform(rng, about.seconds) * rate / 60 * _SYLLABLES_A_WORD)
    emphasised = int(rng.integers(len(text.split()))) if rng.random() < about.emphasis else None
    octaves = math.log2(ratio(rng, about.pitch_spread))
    return {
        "text": text,
        "emphasised_word": emphasised,
        "rate": round(rate),
        "pitch": int(np.clip(round(50 + 50 * octaves), 0, 99)),
        "range": int(np.clip(round(50 * ratio(rng, about.melody_spread)), 0, 99)),
        "padding": [round(uniform(rng, about.padding), 3) for _ in range(2)],
        "snr_db": round(snr_db + options.channel.snr_jitter_db * rng.uniform(-1, 1), 2),
        "level_db": round(uniform(rng, options.channel.level_db), 2),
    }


def _is_made(plan: dict[str, Any], folder: Path) -> bool:
    """Whether a folder holds all that a plan asks for."""
    try:
        made = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return made == plan and all((folder / f"{u['id']}.wav").exists() for u in plan["utterances"])


def _make(seed: int, plan: dict[str, Any], folder: Path, synthesiser: espeak.Synthesiser) -> None:
    """Makes a speaker's folder: under a temporary name first, renamed when whole."""
    speaker, sessions = plan["speaker"], {session["id"]: session for session in plan["sessions"]}
    numbers = {session: number for number, session in enumerate(sessions)}
    prompts = [
        espeak.Prompt(
            _ssml(u["text"], u["emphasised_word"]), numbers[u["session"]], u["rate"], u["pitch"], u["range"]
        )
        for u in plan["utterances"]
    ]
    try:
        spoken = synthesiser.speak(
            plan["accent"], [session["voice"] for session in sessions.values()], prompts,
            seed=int(stream(seed, speaker, "espeak").integers(2**31)),
        )
    except RuntimeError as error:
        raise UserError(f"{folder}: {error}") from error
    rooms = {}
    for name, session in sessions.items():
        channel = channels.Channel(**session["channel"])
        rooms[name] = channel, channels.room_response(stream(seed, name, "room"), channel)

    temporary = folder.with_name(f".{speaker}.part")  # what a killed run left there goes
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for utterance, samples in zip(plan["utterances"], spoken, strict=True):
        speech = resample_poly(samples, channels.SAMPLING_RATE // 50, espeak.SAMPLING_RATE // 50)
        before, after = (round(seconds * channels.SAMPLING_RATE) for seconds in utterance["padding"])
        recorded = channels.record(
            np.pad(speech, (before, after)), *rooms[utterance["session"]],
            stream(seed, utterance["id"], "noise"), utterance["snr_db"], utterance["level_db"],
        )
        with atomic_write(temporary / f"{utterance['id']}.wav", "wb") as whole, wave.open(whole, "wb") as file:
            file.setparams((1, 2, channels.SAMPLING_RATE, len(recorded), "NONE", ""))
            file.writeframes(recorded.tobytes())
    with atomic_write(temporary / PLAN) as file:
        json.dump(plan, file, indent=1)
    if folder.exists():  # made with other options; without its plan it counts for nothing
        (folder / PLAN).unlink(missing_ok=True)
        shutil.rmtree(folder)
    temporary.rename(folder)


def _ssml(text: str, emphasised: int | None) -> str:
    """The text as SSML, with one of its words emphasised."""
    words = text.split()
    if emphasised is not None:
        word = words[emphasised].rstrip(".,?!")
        mark = words[emphasised][len(word):]
        words[emphasised] = f'<emphasis level="strong">{word}</emphasis>{mark}'
    return f"<speak>{' '.join(words)}</speak>"
