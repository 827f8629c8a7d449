"""extract_embeddings.py as stages 5 and 7 run it: whole utterances, and the middle of them."""

import kaldiio
import numpy as np
import pytest
import torch
import yaml
from backend_files import command
from shell import ROOT
from small_networks import FEATURES, SMALL, features_of, small_teacher

from xvkd.features.network_input import InputConfig, network_input
from xvkd.nets.models import TEACHERS, BuildRecord, finish_model

EXTRACTION = ROOT / "conf" / "extraction.yaml"
LENGTHS = {"s-long": 500, "s-middle": 260, "s-short": 120}  # frames, of which two of three are voiced
LEVELS = ["frame", "segment6"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A data directory and a little model, and the folder where embeddings of it have gone to."""
    root = tmp_path_factory.mktemp("extraction")
    reads = yaml.safe_load((ROOT / "conf" / "inputs" / "mfcc_cmn_voiced.yaml").read_text())
    build = BuildRecord(TEACHERS, "tdnn", SMALL["tdnn"], FEATURES, 0)
    about = {"role": "teacher", "loss": "softmax", "seed": 0, "input": reads, "features": {"frame_shift": 10.0}}
    finish_model(root / "model", small_teacher(), build, about)
    data = root / "data"
    data.mkdir()
    frames = dict(zip(LENGTHS, (part.numpy() for part in features_of(*LENGTHS.values())), strict=True))
    marks = {name: (np.arange(len(part)) % 3 > 0).astype(np.float32) for name, part in frames.items()}
    kaldiio.save_ark(str(data / "feats.ark"), frames, scp=str(data / "feats.scp"))
    kaldiio.save_ark(str(data / "vad.ark"), marks, scp=str(data / "vad.scp"))
    (data / "utt2spk").write_text("".join(f"{name} s\n" for name in LENGTHS))
    extract(root, "--durations", "0.5 1.5", out="eval")
    return root, {name: network_input(frames[name], marks[name], InputConfig(**reads)) for name in LENGTHS}


def extract(root, *options, out, status=0):
    return command(
        "extract_embeddings.py", "--config", EXTRACTION, "--model", root / "model", "--levels", "+".join(LEVELS),
        *options, root / "data", root / "embeddings" / out, status=status,
    )  # fmt: skip


@torch.no_grad()
def embedding(frames):
    return {level: value[0] for level, value in small_teacher()(torch.from_numpy(frames)[None], levels=LEVELS).items()}


@pytest.mark.parametrize("folder, most", [("eval", 10**6), ("eval_0.5s", 50), ("eval_1.5s", 150)])
def test_the_middle_of_the_voiced_frames(found, folder, most):
    root, inputs = found
    assert (root / "embeddings" / folder / "levels").read_text().split() == LEVELS
    vectors = {level: kaldiio.load_scp(str(root / "embeddings" / folder / f"{level}.scp")) for level in LEVELS}
    for name, frames in inputs.items():
        first = max(len(frames) - most, 0) // 2
        for level, expected in embedding(frames[first : first + most]).items():
            np.testing.assert_allclose(vectors[level][name], expected, rtol=1e-4, atol=1e-5, err_msg=name)
    # The whole is as without the option, and a shorter utterance is whole everywhere.
    assert [len(frames) for frames in inputs.values()] == [333, 173, 80]
    whole = kaldiio.load_scp(str(root / "embeddings" / "eval" / "segment6.scp"))
    assert np.array_equal(vectors["segment6"]["s-short"], whole["s-short"]) == (most > 80)


@pytest.mark.parametrize("durations", ["one", "0", "1 -2", "inf"])
def test_durations_that_are_none(found, durations):
    done = extract(found[0], "--durations", durations, out="none", status=1)
    assert f"--durations '{durations}': expected seconds with spaces between, such as \"1 2 4\"" in done.stderr
    assert not (found[0] / "embeddings" / "none").exists()
