"""Writes trees in the layout of VoxCeleb: speakers that hum, videos, metadata, trial lists."""

import numpy as np
import soundfile

try:
    import av  # as far as a test asks for m4a
except ImportError:
    av = None

RATE = 16000
FIRST = ["id10001", "id10002", "id10003", "id10004", "id11251"]  # VoxCeleb1 dev
TEST = ["id10270", "id10271", "id10300", "id10309"]  # VoxCeleb1 test
SECOND = ["id00012", "id00015", "id00018", "id00019", "id00020", "id00022"]  # VoxCeleb2 dev
SECOND_TEST = ["id00017", "id00061", "id00081", "id00154"]  # VoxCeleb2 test
VIDEOS = ["-GTcP5bPDUo", "1zcIwhmdeo4"]
CLIPS = ["00001", "00002"]


def write_clip(path, speaker, number, seconds=1.2):
    """Voiced by pulses with a pitch of the speaker's, with pauses: what a VAD and a network can do something with."""
    random = np.random.default_rng([speaker, number])
    times = np.arange(round(seconds * RATE)) / RATE
    pulses = np.sin(np.outer(times, 2 * np.pi * (90 + 13 * (speaker % 17)) * np.arange(1, 9))).sum(1)
    samples = 0.05 * pulses * (np.sin(9 * times) > -0.7) + 0.002 * random.standard_normal(len(times))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".m4a":
        write_m4a(path, samples)
    else:
        soundfile.write(path, samples, RATE)
    return path


def write_m4a(path, samples, rate=RATE):
    """AAC in MPEG-4, by PyAV."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.int16(32767 * samples)[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def write_clips(folder, speakers, suffix):
    for speaker in speakers:
        for number, name in enumerate(f"{video}/{clip}" for video in VIDEOS for clip in CLIPS):
            write_clip(folder / speaker / f"{name}.{suffix}", int(speaker[2:]), number)


def write_first(root, dev="dev/wav", test="test/wav", meta=True):
    """VoxCeleb1 as its two zip files are unpacked, wav/ in dev and test."""
    write_clips(root / dev, FIRST, "wav")
    write_clips(root / test, TEST, "wav")
    if meta:
        lines = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
        lines += [f"{speaker}\tSome_One\t{'mf'[int(speaker[2:]) % 2]}\tUK\t{half}"
                  for half, speakers in (("dev", FIRST), ("test", TEST)) for speaker in speakers]  # fmt: skip
        (root / "vox1_meta.csv").write_text("\n".join(lines) + "\n")
    return root


def write_second(root, suffix="wav", folder="aac", meta=True):
    """VoxCeleb2, dev/aac and test/aac."""
    write_clips(root / "dev" / folder, SECOND, suffix)
    write_clips(root / "test" / folder, SECOND_TEST, suffix)
    if meta:
        lines = ["VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set "]
        lines += [f"{speaker} ,n{speaker[2:]} ,{'mf'[int(speaker[2:]) % 2]} ,{half} "
                  for half, speakers in (("dev", SECOND), ("test", SECOND_TEST)) for speaker in speakers]  # fmt: skip
        (root / "vox2_meta.csv").write_text("\n".join(lines) + "\n")
    return root


def pair_lines(speakers):
    """Every pair of the first clips of each video, as the lists of VoxCeleb have them."""
    clips = [f"{speaker}/{video}/00001.wav" for speaker in speakers for video in VIDEOS]
    return "".join(f"{int(a[:7] == b[:7])} {a} {b}\n" for n, a in enumerate(clips) for b in clips[n + 1 :])


def write_lists(root):
    (root / "veri_test2.txt").write_text(pair_lines(TEST))
    (root / "list_test_all2.txt").write_text(pair_lines(FIRST + TEST))
    (root / "list_test_hard2.txt").write_text(pair_lines(FIRST[1:]))
    return root
