"""Chunks that are degraded on the fly: the same from the same seed, and clean where nothing is added."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile
from corpus_files import write_manifests

from xvkd import config
from xvkd.augmentation.augmenter import Augmenter
from xvkd.augmentation.config import AugmentationConfig, NoiseConfig
from xvkd.augmentation.noise_corpus import Given, NoiseCorpus, prepare_noise
from xvkd.features.audio import read_audio
from xvkd.features.extraction import FeatureExtractor
from xvkd.kaldi.archives import ArchiveWriter
from xvkd.kaldi.datadir import DataDir
from xvkd.training.augmented import AugmentingReader
from xvkd.training.config import load_input_config
from xvkd.training.data import UtteranceReader

SPEAKERS = {f"s{speaker}-{number}": f"s{speaker}" for speaker in range(2) for number in range(2)}


@pytest.fixture(scope="module")
def made(tmp_path_factory, conf):
    """A data directory with manifests, features and VAD, a noise corpus, and what networks read."""
    root = tmp_path_factory.mktemp("online")
    folder = root / "train"
    folder.mkdir()
    reads, features, _ = load_input_config(conf / "inputs" / "mfcc_cmn_voiced.yaml")
    extractor, random = FeatureExtractor(features), np.random.default_rng(0)
    with (
        ArchiveWriter(folder / "feats.ark", folder / "feats.scp", compress=False) as feats,
        ArchiveWriter(folder / "vad.ark", folder / "vad.scp", compress=False) as vad,
    ):
        for name in SPEAKERS:
            path = root / f"{name}.wav"
            count = 16000 * 8 if name == "s0-0" else 30000
            loudness = np.repeat(random.uniform(0.001, 0.2, count // 1000), 1000)
            soundfile.write(path, np.resize(loudness, count) * random.standard_normal(count), 16000)
            matrix = extractor(read_audio(path, 16000))
            feats.write(name, matrix)
            vad.write(name, (random.random(len(matrix)) < 0.7).astype(np.float32))
    write_manifests(folder, {name: (speaker, root / f"{name}.wav") for name, speaker in SPEAKERS.items()})
    noise = config.load(NoiseConfig, conf / "noise.yaml", ["files=1", "seconds=2", "responses=2"])
    prepare_noise(noise, Given(None, None, [folder]), False, root / "noise")
    options = config.load(AugmentationConfig, conf / "augmentation" / "online.yaml")
    return DataDir(folder), NoiseCorpus(root / "noise"), options, reads, features


@pytest.fixture
def reader(made):
    """Readers of a share of chunks to degrade: with augmentation, and without."""
    data_dir, corpus, options, reads, features = made

    def reader(online):
        clean = UtteranceReader([data_dir], reads)
        augmenter = Augmenter(replace(options, online=online), corpus)
        return AugmentingReader(clean, [data_dir], SPEAKERS, augmenter, features, reads), clean

    return reader


@pytest.mark.parametrize("offset", [0, 0.4, 0.999])
@pytest.mark.parametrize("length", [50, 120, 400])
def test_chunks_of_audio_are_those_of_the_features(reader, offset, length):
    """With nothing added: only what the chunk needs is read, and it makes no difference."""
    augmenting, clean = reader(1.0)
    for name in SPEAKERS:
        ours, wanted = augmenting.degraded_chunk(name, length, offset, None), clean.chunk(name, length, offset, 0)
        assert ours.shape == wanted.shape == (length, 30) and ours.dtype == np.float32
        distance = np.abs(ours - wanted)
        # At the edges of what is read, a frame or two has reflections in place of its neighbours.
        assert distance.max() < 0.5 and np.median(distance) < 0.05


def test_the_seed_gives_the_same_chunk_in_any_order(reader):
    augmenting, clean = reader(1.0)
    rows = [(name, seed) for name in SPEAKERS for seed in range(3)]
    first = {row: augmenting.chunk(row[0], 60, 0.3, row[1]) for row in rows}
    for row in reversed(rows):
        assert np.array_equal(augmenting.chunk(row[0], 60, 0.3, row[1]), first[row])
        assert np.abs(first[row] - clean.chunk(row[0], 60, 0.3, 0)).mean() > 0.3
    assert not np.array_equal(first["s0-0", 0], first["s0-0", 1])


def test_share_of_clean_chunks(reader):
    augmenting, clean = reader(0.67)
    wanted = clean.chunk("s0-0", 60, 0.3, 0)
    same = [np.array_equal(augmenting.chunk("s0-0", 60, 0.3, seed), wanted) for seed in range(100)]
    assert np.mean(same) == pytest.approx(0.33, abs=0.12)


def test_whole_utterances_are_clean(reader):
    augmenting, clean = reader(1.0)
    for name in SPEAKERS:
        assert name in augmenting and np.array_equal(augmenting[name], clean[name])
    assert "nobody" not in augmenting
