"""prepare_noise.py and augment_data.py as users run them, and features of what they write."""

import kaldiio
import numpy as np
import pytest
import soundfile
from backend_files import command
from corpus_files import write_manifests

PLAIN = ("--config=conf/features/mfcc.yaml", "--compress=false")
NOISE = [f"--set={change}" for change in ("files=1", "seconds=2", "responses=2")]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with speech of two speakers, two utterances each."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for speaker in ("anna", "bob"):
        for number in range(2):
            path = root / "speech" / speaker / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * random.standard_normal(16000 + 800 * number), 16000)
    return root


@pytest.fixture(scope="module")
def train(data):
    """Their data directory, with manifests, as stage 1 leaves it."""
    folder = data / "train"
    sounds = sorted((data / "speech").glob("*/*.wav"))
    write_manifests(folder, {f"{path.parent.name}-{path.stem}": (path.parent.name, path) for path in sounds})
    return folder


@pytest.fixture(scope="module")
def copies(data, train):
    command("prepare_noise.py", "--config=conf/noise.yaml", *NOISE, "--speech", train, data / "noise")
    command(
        "augment_data.py", "--config=conf/augmentation/kaldi.yaml", "--noise", data / "noise", train, data / "copies"
    )
    return data / "copies"


def features(wavs, out, *options):
    command("compute_feats.py", *PLAIN, *options, wavs, f"ark:{out}")
    return dict(kaldiio.load_ark(str(out)))


@pytest.fixture(scope="module")
def noisy(copies, data):
    return features(f"cuts:{copies}/manifests/cuts.jsonl.gz", data / "noisy.ark")


def test_features_of_copies_come_from_their_cuts(noisy, copies, train, tmp_path):
    clean = features(f"scp:{train}/wav.scp", tmp_path / "clean.ark")
    originals = dict(line.split() for line in (copies / "utt2uniq").read_text().splitlines())
    assert noisy.keys() == originals.keys() and len(noisy) == 4 * len(clean)
    for name, original in originals.items():
        assert noisy[name].shape == clean[original].shape
        assert np.abs(noisy[name] - clean[original]).mean() > 0.5


def test_parts_make_the_whole(noisy, copies, tmp_path):
    cuts = f"cuts:{copies}/manifests/cuts.jsonl.gz"
    parts = [features(cuts, tmp_path / f"{job}.ark", f"--part={job}/2") for job in (1, 2)]
    assert [len(part) for part in parts] == [8, 8] and parts[0].keys() | parts[1].keys() == noisy.keys()
    for name, matrix in (parts[0] | parts[1]).items():
        assert np.array_equal(matrix, noisy[name])


def test_cuts_of_a_corpus_are_utterances_as_they_are(data, train, tmp_path):
    command("augment_data.py", "--speed-factors", "0.9 1.1", train, data / "sp")
    found = features(f"cuts:{data}/sp/manifests/cuts.jsonl.gz", tmp_path / "sp.ark")
    assert len(found) == 8 and found["sp0.9-anna-0"].shape[0] == 111 and found["sp1.1-bob-0"].shape[0] == 91


def test_damaged_audio_names_the_cut(data, train, tmp_path):
    (tmp_path / "cuts.jsonl").write_text(
        '{"id": "x", "start": 0, "duration": 1.0, "channel": 0, "type": "MonoCut", "recording": {"id": "x", "sources": '
        '[{"type": "file", "channels": [0], "source": "no.wav"}], "sampling_rate": 16000, "num_samples": 16000, '
        '"duration": 1.0, "channel_ids": [0]}}\n'
    )
    done = command("compute_feats.py", *PLAIN, f"cuts:{tmp_path}/cuts.jsonl", f"ark:{tmp_path}/x.ark", status=1)
    assert "cut 'x': its audio cannot be read" in done.stderr and not (tmp_path / "x.ark").exists()
    line = (tmp_path / "cuts.jsonl").read_text().replace('"file"', '"command"').replace("no.wav", "cat no.wav")
    (tmp_path / "cuts.jsonl").write_text(line)
    done = command("compute_feats.py", *PLAIN, f"cuts:{tmp_path}/cuts.jsonl", f"ark:{tmp_path}/x.ark", status=1)
    assert "allow it with --allow-pipes" in done.stderr
    (tmp_path / "cuts.jsonl").write_text("nothing\n")
    done = command("compute_feats.py", *PLAIN, f"cuts:{tmp_path}/cuts.jsonl", f"ark:{tmp_path}/x.ark", status=1)
    assert "cuts.jsonl, line 1: damaged, or no cut of Lhotse's" in done.stderr


@pytest.mark.parametrize("options, told", [
    (["--speed-factors", "fast"], "expected different numbers from 0.5 to 2"),
    (["--speed-factors", "0.9 0.9"], "expected different numbers"),
    (["--config=conf/augmentation/none.yaml", "--noise", "."], "there is nothing to write"),
    (["--config=conf/augmentation/copies.yaml"], "--config and --noise are needed"),
    (["--config=conf/augmentation/copies.yaml", "--noise", "nowhere"], "nowhere/noise.jsonl.gz: no such file"),
    (["--config=conf/augmentation/copies.yaml", "--noise", ".", "--same-ids"], "one copy an utterance"),
])  # fmt: skip
def test_bad_options(train, tmp_path, options, told):
    done = command("augment_data.py", *options, train, tmp_path / "copies", status=1)
    assert told in done.stderr and not (tmp_path / "copies").exists()
