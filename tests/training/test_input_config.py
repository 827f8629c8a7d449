"""What a model's YAML and the files that it names say, and values that replace theirs."""

import kaldiio
import numpy as np
import pytest

from xvkd.errors import UserError
from xvkd.features.network_input import InputConfig
from xvkd.features.vad_hmm import VadHmmConfig
from xvkd.kaldi.datadir import DataDir
from xvkd.training.config import load_model_config
from xvkd.training.data import UtteranceReader


def test_what_a_network_reads_can_be_replaced(conf):
    teacher = conf / "teachers" / "tdnn.yaml"
    model, reads, _, vad = load_model_config(teacher, ["training.epochs=2", "input.vad=vad_hmm", "input.cmn_window=99"])
    assert (model.training.epochs, reads.vad, reads.cmn_window) == (2, "vad_hmm", 99)
    assert isinstance(vad, VadHmmConfig) and vad.min_silence_frames == 20
    assert load_model_config(teacher, [])[1].vad == "vad"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("input.vad=vad_nothing", r"vad_nothing\.yaml: no such configuration file \(there are: .*vad_hmm"),
        ("input.windows=3", r"mfcc_cmn_voiced\.yaml: windows: unknown key"),
        ("input.vad=mfcc", r"mfcc\.yaml: kind: 'mfcc' is no kind of VAD \(there are: energy, hmm\)"),
    ],
)
def test_impossible_replacements_are_told(conf, override, message):
    with pytest.raises(UserError, match=message):
        load_model_config(conf / "teachers" / "tdnn.yaml", [override])


def test_voiced_frames_are_those_of_the_inputs_vad(write_data_dir):
    """Two VADs lie side by side in a data directory."""
    frames = {"s-1": np.arange(8, dtype=np.float32)[:, None]}
    folder = write_data_dir(frames, {"s-1": np.array([1, 1, 1, 1, 0, 0, 0, 0], np.float32)})
    other = {"s-1": np.array([0, 0, 0, 0, 0, 0, 1, 1], np.float32)}
    kaldiio.save_ark(str(folder / "vad_hmm.ark"), other, scp=str(folder / "vad_hmm.scp"))
    for vad, count in (("vad", 4), ("vad_hmm", 2)):
        reads = InputConfig("mfcc", vad, 300, 100, center=True, norm_vars=False, voiced_only=True)
        assert len(UtteranceReader([DataDir(folder)], reads)["s-1"]) == count
