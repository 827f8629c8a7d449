"""A set of twelve speakers with tones for speech, and a small noise corpus."""

import numpy as np
import pytest
import soundfile
from noise_trees import write_musan, write_rirs

from xvkd import config
from xvkd.augmentation.config import AugmentationConfig, NoiseConfig
from xvkd.augmentation.noise_corpus import Given, NoiseCorpus, prepare_noise
from xvkd.corpora.prepare import load_corpus, prepare
from xvkd.kaldi.datadir import DataDir

RATE = 16000
SMALL = ["files=2", "seconds=2", "responses=5"]


def write_speech(root, speakers=12, utterances=3):
    random = np.random.default_rng(0)
    for speaker in range(speakers):
        (root / f"s{speaker}").mkdir(parents=True)
        for number in range(utterances):
            count = RATE + 777 * number
            tone = np.sin(np.cumsum(0.05 + 0.03 * np.sin(np.arange(count) / (700 + 50 * speaker))))
            samples = 0.1 * tone * (np.arange(count) > 3000) + 0.001 * random.standard_normal(count)
            soundfile.write(root / f"s{speaker}" / f"u{number}.wav", samples, RATE)


@pytest.fixture(scope="session")
def data(tmp_path_factory, conf):
    """data/<corpus>/, with train, dev and eval."""
    root = tmp_path_factory.mktemp("augmentation")
    write_speech(root / "speech")
    prepare(*load_corpus(conf / "corpora" / "folder.yaml", [f"options.audio={root / 'speech'}"]), root / "data")
    return root / "data"


@pytest.fixture(scope="session")
def noise_config(conf):
    return config.load(NoiseConfig, conf / "noise.yaml", SMALL)


@pytest.fixture(scope="session")
def noise(data, noise_config):
    """The folder of a noise corpus to train on; beside it, noise_held_out."""
    prepare_noise(noise_config, Given(None, None, [data / "train"]), False, data / "noise")
    prepare_noise(noise_config, Given(None, None, [data / "dev"]), True, data / "noise_held_out")
    return data / "noise"


@pytest.fixture(scope="session")
def corpus(noise):
    return NoiseCorpus(noise)


@pytest.fixture(scope="session")
def musan(tmp_path_factory):
    return write_musan(tmp_path_factory.mktemp("corpora") / "musan")


@pytest.fixture(scope="session")
def rirs(tmp_path_factory):
    return write_rirs(tmp_path_factory.mktemp("corpora") / "RIRS_NOISES")


@pytest.fixture
def options(conf):
    """Reads conf/augmentation/<name>.yaml with overrides."""
    return lambda name, *overrides: config.load(AugmentationConfig, conf / "augmentation" / f"{name}.yaml", overrides)


@pytest.fixture(scope="session")
def train(data):
    return DataDir(data / "train")
