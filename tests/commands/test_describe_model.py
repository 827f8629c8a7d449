"""describe_model.py as users run it: layers, levels, sizes and costs of a configuration or a finished model."""

import pytest
import torch
from shell import ROOT, run
from small_networks import SMALL, small_teacher, teacher_of

from xvkd.nets.describe import describe, macs_per_second
from xvkd.nets.models import TEACHERS, BuildRecord, finish_model


def describe_model(*arguments, status=0):
    done = run(["python3", ROOT / "pyscripts" / "describe_model.py", *arguments], PYTHONPATH=str(ROOT / "pyscripts"))
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def cells(text):
    """The printed rows, split where columns are."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


def test_a_teacher_is_described(conf):
    rows = cells(describe_model("--config", conf / "teachers" / "tdnn.yaml"))
    assert rows[0] == ["layer", "context", "width", "parameters", "MMAC/s"]
    # 10 s: 996 frames of 5 x 30 inputs, and 992 of 3 x 512.
    assert rows[1] == ["frame1", "{-2..2}", "512", "77,312", f"{99.6 * 150 * 512 / 1e6:.2f}"]
    assert rows[2] == ["frame2", "{-2, 0, 2}", "512", "786,944", f"{99.2 * 1536 * 512 / 1e6:.2f}"]
    assert rows[6] == ["pooling", "whole", "3,000", "0", "0.00"]
    assert rows[8] == ["segment7", "512", "262,656", "0.03"]
    assert ["segment6", "512", "4,219,868", "264.93"] in rows and ["frame", "1,500", "2,683,356", "264.78"] in rows
    assert ["parameters", "4,482,524"] in rows
    assert ["multiply-accumulates", "264.96 million per second of speech"] in rows
    assert ["receptive field", "15 frames, 150 ms"] in rows and ["shortest input", "15 frames"] in rows


def test_values_can_be_set_and_padded_networks_take_a_frame(conf):
    rows = cells(describe_model("--config", conf / "teachers" / "resnet34.yaml", "--set", "arch.channels=2"))
    assert rows[5] == ["frame5", "6 x (3 x 3) / 2", "160", "13,024", rows[5][-1]]
    assert ["receptive field", "225 frames, 2250 ms"] in rows and ["shortest input", "1 frames"] in rows


def test_a_student_needs_its_output_size(conf):
    student = conf / "students" / "tdnn152.yaml"
    assert ["parameters", "364,552"] in cells(describe_model("--config", student, "--output-dim", "512"))
    assert "tdnn152.yaml: a student's last layer" in describe_model("--config", student, status=1)


def test_a_finished_model_is_described(tmp_path):
    network = small_teacher("ftdnn")
    finish_model(tmp_path, network, BuildRecord(TEACHERS, "ftdnn", SMALL["ftdnn"], 4, 0), {"role": "teacher"})
    rows = cells(describe_model("--model", tmp_path))
    assert ["parameters", f"{network.num_parameters():,}"] in rows and rows[2][:2] == ["frame2", "{-2, 0} {0, 2}"]
    assert "a finished model is as it is" in describe_model("--model", tmp_path, "--set", "arch.width=2", status=1)


@pytest.mark.parametrize("name", ["ftdnn", "ecapa_half", "resnet34_half"])
def test_multiply_accumulates_are_those_of_a_forward_pass(conf, name):
    """Against torch's own count of operations: two for each multiply-accumulate."""
    from torch.utils.flop_counter import FlopCounterMode

    network = teacher_of(conf, name).eval()
    input_dim = 30 if name == "ftdnn" else 80
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        network.to("meta")(torch.empty(1, 1000, input_dim))
    assert sum(macs_per_second(network, input_dim).values()) * 20 == pytest.approx(counter.get_total_flops())


def test_levels_need_what_lies_below_them(conf):
    described = describe(teacher_of(conf, "ecapa512"), 80)
    size, parameters, macs = described.levels["stats"]
    assert (size, parameters) == (3072, described.parameters - described.layers[-1].parameters)
    assert macs == sum(layer.macs for layer in described.layers[:-1])
    assert described.levels["frame"] == described.levels["frame5"]
