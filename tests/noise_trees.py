"""Trees of MUSAN's and RIRS_NOISES' real layout, with short sounds in them."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
VOCALS = 5  # so many of the twenty pieces of music, the first


def sound(path: Path, seconds: float = 0.3, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(0).standard_normal((round(seconds * RATE), channels))
    soundfile.write(path, samples, RATE)


def write_musan(root: Path) -> Path:
    """Twenty recordings of noise, speech and music each."""
    for number in range(20):
        sound(root / "noise" / "free-sound" / f"noise-free-sound-{number:04d}.wav")
        sound(root / "speech" / "librivox" / f"speech-librivox-{number:04d}.wav")
        sound(root / "music" / "fma" / f"music-fma-{number:04d}.wav")
    for part in ("noise/free-sound", "speech/librivox", "music/fma"):
        (root / part / "LICENSE").write_text("public domain\n")
    (root / "README").write_text("MUSAN\n")
    lines = [f"music-fma-{number:04d} folk,pop {'Y' if number < VOCALS else 'N'} band\n" for number in range(20)]
    (root / "music" / "fma" / "ANNOTATIONS").write_text("".join(lines))
    return root


def write_rirs(root: Path) -> Path:
    """Two responses of a small, a medium and a large room, measured ones, and noises."""
    for room in ("small", "medium", "large"):
        folder = root / "simulated_rirs" / f"{room}room"
        sound(folder / "Room001" / "Room001-00001.wav")
        sound(folder / "Room001" / "Room001-00002.wav")
        (folder / "rir_list").write_text("--rir-id small_001 ...\n")
    real = root / "real_rirs_isotropic_noises"
    sound(real / "RVB2014_type1_rir_largeroom1_far_angla.wav", channels=8)
    sound(real / "RVB2014_type1_noise_largeroom1_1.wav", channels=8)
    sound(root / "pointsource_noises" / "noise-free-sound-0000.wav")
    return root
