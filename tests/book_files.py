"""Writes trees in the layouts of LibriSpeech, LibriTTS and VCTK."""

import numpy as np
import soundfile


def write_sound(path, number, rate=16000, seconds=1.2):
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(number)
    times = np.arange(round(seconds * rate)) / rate
    pulses = np.sin(np.outer(times, 2 * np.pi * (90 + number % 97) * np.arange(1, 9))).sum(1)
    samples = 0.05 * pulses * (np.sin(9 * times) > -0.7) + 0.002 * random.standard_normal(len(times))
    soundfile.write(path, samples, rate)


def write_speakers(path, parts):
    lines = [";ID  |SEX| SUBSET           |MINUTES| NAME"]
    lines += [f"{speaker:<5}| {'FM'[int(speaker) % 2]} | {part:<17}| 25.03 | Some | One"
              for part, speakers in parts.items() for speaker in speakers]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_librispeech(root, parts, chapters=("101", "102"), utterances=2):
    """<part>/<speaker>/<chapter>/<speaker>-<chapter>-NNNN.flac and the chapter's .trans.txt."""
    write_speakers(root / "SPEAKERS.TXT", parts)
    for part, speakers in parts.items():
        for speaker in speakers:
            for chapter in chapters:
                names = [f"{speaker}-{chapter}-{number:04d}" for number in range(utterances)]
                for number, name in enumerate(names):
                    write_sound(root / part / speaker / chapter / f"{name}.flac", int(speaker) + number)
                (root / part / speaker / chapter / f"{speaker}-{chapter}.trans.txt").write_text(
                    "".join(f"{name} THE TEXT OF IT\n" for name in names)
                )
    return root


def write_libritts(root, parts, chapters=("101", "102")):
    """The same for LibriTTS: 24 kHz wav, names with underscores, .trans.tsv and .book.tsv."""
    write_speakers(root / "SPEAKERS.txt", parts)
    for part, speakers in parts.items():
        for speaker in speakers:
            for chapter in chapters:
                folder = root / part / speaker / chapter
                names = [f"{speaker}_{chapter}_00000{number}_000000" for number in (1, 2)]
                for number, name in enumerate(names):
                    write_sound(folder / f"{name}.wav", int(speaker) + number, rate=24000)
                (folder / f"{speaker}_{chapter}.trans.tsv").write_text(
                    "".join(f"{name}\tThe text.\tThe text.\n" for name in names)
                )
                (folder / f"{speaker}_{chapter}.book.tsv").write_text(
                    "".join(f"{name}\tThe text.\tThe text.\t1.0\t21.5\n" for name in names)
                )
    return root


def write_vctk(root, speakers, microphones=("mic1", "mic2")):
    """VCTK 0.92; without microphones the older layout, wav48."""
    root.mkdir(parents=True, exist_ok=True)
    ids = {speaker: speaker if microphones else speaker[1:] for speaker in speakers}
    rows = [f"{name}  23  {'FM'[int(who[1:]) % 2]}    English    Southern  England" for who, name in ids.items()]
    (root / "speaker-info.txt").write_text("\n".join(["ID  AGE  GENDER  ACCENTS  REGION COMMENTS", *rows]) + "\n")
    for speaker in speakers:
        for number in (1, 2, 3):
            name = f"{speaker}_{number:03d}"
            (root / "txt" / speaker).mkdir(parents=True, exist_ok=True)
            (root / "txt" / speaker / f"{name}.txt").write_text("Please call Stella.\n")
            for microphone in microphones:
                path = root / "wav48_silence_trimmed" / speaker / f"{name}_{microphone}.flac"
                write_sound(path, int(speaker[1:]) + number, rate=48000, seconds=0.5)
            if not microphones:
                write_sound(root / "wav48" / speaker / f"{name}.wav", number, rate=48000, seconds=0.5)
    return root
