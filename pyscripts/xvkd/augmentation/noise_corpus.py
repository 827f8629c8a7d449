"""The noise corpus: noises, music, speech for babble and rooms; from MUSAN and RIRS_NOISES, or synthesised."""

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from xvkd.augmentation.config import NoiseConfig
from xvkd.augmentation.rooms import decaying_response, fast_random_response
from xvkd.augmentation.synthetic_noise import HELD_OUT, TRAINING, synthesise
from xvkd.corpora.corpus_set import file_recording
from xvkd.corpora.synthesis.draws import stream
from xvkd.errors import UserError
from xvkd.features.cuts import load_cut, read_cuts, utterance_cuts, write_cuts
from xvkd.kaldi.datadir import DataDir
from xvkd.kaldi.files import atomic_write

if TYPE_CHECKING:
    from lhotse.cut import Cut

PARTS = ("noise", "music", "speech", "rirs")
_MUSAN = ("music", "noise", "speech")


@dataclass
class Given:
    """Where recordings come from.

    Attributes:
        musan: the folder ``musan`` with ``music``, ``noise`` and ``speech``, or None.
        rirs: the folder ``RIRS_NOISES`` with ``simulated_rirs`` and perhaps ``real_rirs_isotropic_noises``, or None.
        speech: data directories with utterances for babble, unless there is MUSAN.
    """

    musan: Path | None
    rirs: Path | None
    speech: list[Path]


def prepare_noise(config: NoiseConfig, given: Given, held_out: bool, folder: Path) -> None:
    """Writes ``<part>.jsonl.gz``, a set of Lhotse's cuts, for each of ``PARTS``; what is synthesised into ``audio/``.

    Args:
        config: see ``conf/noise.yaml``.
        given: where recordings come from.
        held_out: the part that training never uses: of given recordings, a share that their names draw, and rooms
            that were measured; of synthesised ones, other generators.
        folder: gets the files.

    Raises:
        UserError: a folder that is not what it should be.
    """
    parts: dict[str, list[Cut]] = {}
    if given.musan:
        parts.update(_musan(given.musan, config, held_out))
    else:
        parts.update(_synthesised(config, held_out, folder))
        parts["speech"] = _speech(given.speech, config)
    parts["rirs"] = _rirs(given.rirs, config, held_out) if given.rirs else _rooms(config, held_out, folder)
    for part in PARTS:
        cuts = parts[part]
        if not cuts:
            logging.warning("%s: no %s", folder, part)
        write_cuts(folder / f"{part}.jsonl.gz", sorted(cuts, key=lambda cut: cut.id))
        hours = sum(cut.duration for cut in cuts) / 3600
        logging.info("%s: %d recordings of %s, %.2f hours", folder, len(cuts), part, hours)


class NoiseCorpus:
    """What ``prepare_noise`` has written.

    Args:
        folder: with ``<part>.jsonl.gz``.

    Attributes:
        noise, music, speech, rirs: cuts; those of speech have a supervision that names the speaker.
    """

    def __init__(self, folder: Path) -> None:
        self.noise, self.music, self.speech, self.rirs = (list(read_cuts(folder / f"{p}.jsonl.gz")) for p in PARTS)


def _cut(name: str, path: Path) -> "Cut":
    """The first channel of a file."""
    from lhotse import MonoCut

    recording = file_recording(name, path)
    return MonoCut(id=name, start=0, duration=recording.duration, channel=0, recording=recording)


def _is_held_out(config: NoiseConfig, name: str) -> bool:
    return stream(config.seed, "held out", name).random() < config.held_out


def _files(folder: Path, where: Path, prefix: str = "") -> "Iterator[tuple[str, Path]]":
    """Name and path of all wav files below a folder."""
    paths = sorted(folder.rglob("*.wav"))
    if not paths:
        raise UserError(f"{where}: no wav files in {folder.relative_to(where)}/; is it unpacked to its end?")
    for path in paths:
        yield f"{prefix}{path.stem}", path


def _musan(root: Path, config: NoiseConfig, held_out: bool) -> "dict[str, list[Cut]]":
    """MUSAN, by Lhotse's recipe."""
    from lhotse.audio.utils import AudioLoadingError
    from lhotse.recipes import prepare_musan

    missing = [part for part in _MUSAN if not (root / part).is_dir()]
    if missing:
        raise UserError(
            f"--musan {root}: no folder {missing[0]}/ in it; expected MUSAN as it is unpacked, with music/, noise/ and "
            "speech/ (www.openslr.org/17)"
        )
    for part in _MUSAN:
        next(_files(root / part, root))
    try:
        manifests = prepare_musan(root, use_vocals=config.vocals)
    except (AssertionError, ValueError, OSError, AudioLoadingError) as error:
        reason = " ".join(str(error).splitlines()[:1])
        raise UserError(f"--musan {root}: {reason}; replace the file, or unpack the corpus again") from None
    found = {}
    for part in _MUSAN:
        recordings = manifests[part]["recordings"]
        # Music without annotation may have voices.
        named = {s.recording_id for s in manifests[part].get("supervisions", [])} if part == "music" else None
        cuts = [
            recording.to_cut().with_channels([0]) if recording.num_channels > 1 else recording.to_cut()
            for recording in recordings if named is None or recording.id in named
        ]  # fmt: skip
        found[part] = _split([_renamed(cut, cut.recording.id) for cut in cuts], config, held_out, root)
    return found


def _renamed(cut: "Cut", name: str) -> "Cut":
    from lhotse.utils import fastcopy

    return fastcopy(cut, id=name)


def _split(cuts: "list[Cut]", config: NoiseConfig, held_out: bool, root: Path) -> "list[Cut]":
    part = [cut for cut in cuts if _is_held_out(config, cut.id) == held_out]
    if cuts and not part and not (held_out and config.held_out == 0):
        # Of a handful, the names may all fall on one side.
        first = sorted(cuts, key=lambda cut: stream(config.seed, "order", cut.id).random())
        part = first[:1] if held_out else first[1:]
    return part


def _rirs(root: Path, config: NoiseConfig, held_out: bool) -> "list[Cut]":
    """RIRS_NOISES, by Lhotse's recipe: simulated rooms to train on, measured ones held out."""
    from lhotse.audio.utils import AudioLoadingError
    from lhotse.recipes import prepare_rir_noise

    simulated, real = root / "simulated_rirs", root / "real_rirs_isotropic_noises"
    for room in config.rooms:
        if not (simulated / f"{room}room").is_dir():
            raise UserError(
                f"--rirs {root}: no folder simulated_rirs/{room}room/ in it; expected RIRS_NOISES as it is unpacked "
                "(www.openslr.org/28)"
            )
        next(_files(simulated / f"{room}room", root))
    parts = ["real_rir"] if held_out and real.is_dir() else ["sim_rir"]
    try:
        recordings = prepare_rir_noise(root, parts=parts)[parts[0]]["recordings"]
    except (AssertionError, ValueError, OSError, AudioLoadingError) as error:
        reason = " ".join(str(error).splitlines()[:1])
        raise UserError(f"--rirs {root}: {reason}; replace the file, or unpack the corpus again") from None
    rooms = tuple(f"{room}-" for room in config.rooms)
    cuts = [_renamed(recording.to_cut(), recording.id) for recording in recordings]
    if parts == ["real_rir"]:
        if not cuts:
            raise UserError(f"--rirs {root}: no measured rooms in {real.name}/; is it unpacked to its end?")
        return cuts
    cuts = [cut for cut in cuts if cut.id.startswith(rooms)]
    return _split(cuts, config, held_out, root) if not real.is_dir() else cuts


def _write(path: Path, samples: np.ndarray, rate: int) -> None:
    # Through memory: libsndfile would hide why a file cannot be written.
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="PCM_16")
    with atomic_write(path, "wb") as file:
        file.write(buffer.getbuffer())


def _synthesised(config: NoiseConfig, held_out: bool, folder: Path) -> "dict[str, list[Cut]]":
    rate = config.sample_frequency
    found: dict[str, list[Cut]] = {}
    for part, makers in (HELD_OUT if held_out else TRAINING).items():
        found[part] = []
        for sort, maker in makers.items():
            for number in range(config.files):
                name = f"{sort}{number + 1:03d}"
                path = folder / "audio" / f"{name}.wav"
                samples = synthesise(maker, stream(config.seed, name), round(config.seconds * rate), rate)
                _write(path, samples, rate)
                found[part].append(_cut(name, path))
    return found


def _rooms(config: NoiseConfig, held_out: bool, folder: Path) -> "list[Cut]":
    make, sort = (decaying_response, "decay") if held_out else (fast_random_response, "room")
    cuts = []
    for number in range(config.responses):
        name = f"{sort}{number + 1:05d}"
        path = folder / "audio" / "rooms" / f"{name}.wav"
        response = make(stream(config.seed, name), config.sample_frequency)
        _write(path, response, config.sample_frequency)
        cuts.append(_cut(name, path))
    return cuts


def _speech(data_dirs: list[Path], config: NoiseConfig) -> "list[Cut]":
    """Some utterances of data directories, with their speakers."""
    from lhotse import SupervisionSegment

    cuts: list[Cut] = []
    for folder in data_dirs:
        speakers = DataDir(folder).speakers()
        ids = list(speakers)
        count = min(config.babble_utterances, len(ids))
        chosen = {ids[row] for row in stream(config.seed, "babble", folder.name).permutation(len(ids))[:count]}
        for cut in utterance_cuts(folder):
            if cut.id in chosen and _is_heard(cut, config.sample_frequency):
                channel = cut.channel[0] if isinstance(cut.channel, list) else cut.channel
                cuts.append(_cut_of(cut, channel, SupervisionSegment(
                    id=cut.id, recording_id=cut.recording.id, start=0, duration=cut.duration, channel=channel,
                    speaker=speakers[cut.id],
                )))  # fmt: skip
    return cuts


def _is_heard(cut: "Cut", rate: int) -> bool:
    """Whether an utterance can be read and is not silent: it would spoil what it is added to."""
    try:
        return bool(load_cut(cut, rate).any())
    except UserError as error:
        logging.warning("not used for babble: %s", error)
        return False


def _cut_of(cut: "Cut", channel: int, supervision: object) -> "Cut":
    from lhotse import MonoCut

    return MonoCut(
        id=cut.id, start=cut.start, duration=cut.duration, channel=channel, recording=cut.recording,
        supervisions=[supervision],
    )
