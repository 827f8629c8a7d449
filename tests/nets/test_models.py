"""Model folders: what is saved comes back the same; a damaged or unfinished one is told."""

import os
import pickle

import pytest
import torch
import yaml

from xvkd.errors import UserError
from xvkd.nets.models import STUDENTS, TEACHERS, BuildRecord, build_network, load_model, save_model

RECORDS = {
    "teacher": BuildRecord(TEACHERS, "tdnn", {"frame_widths": [6, 6, 6, 6, 8], "segment_widths": [5, 5]}, 4, 0),
    "student": BuildRecord(STUDENTS, "tdnn", {"width": 6}, 4, 9),
}


def saved_model(folder, record):
    """A model that has seen some data, saved as training does; returns it."""
    torch.manual_seed(0)
    network = build_network(record, "test")
    network.train()
    network(torch.randn(8, 30, 4))  # moves the BatchNorms' statistics
    (folder / "config.yaml").write_text(yaml.safe_dump({"role": "teacher", "seed": 3, "build": vars(record)}))
    save_model(folder, network)
    return network


@pytest.fixture
def folder(tmp_path):
    saved_model(tmp_path, RECORDS["teacher"])
    return tmp_path


@pytest.mark.parametrize("kind", RECORDS)
@torch.no_grad()
def test_a_model_comes_back_as_it_was_saved(tmp_path, kind):
    original = saved_model(tmp_path, RECORDS[kind]).eval()
    network, record = load_model(tmp_path)
    features = torch.randn(3, 40, 4)
    levels = list(original.levels)
    ours, expected = network(features, levels=levels), original(features, levels=levels)
    assert not network.training and list(network.levels) == levels
    assert all(torch.equal(ours[level], expected[level]) for level in levels)
    assert record["role"] == "teacher" and record["seed"] == 3


def test_nothing_but_the_two_files_is_left(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "model.safetensors"]


def test_an_interrupted_save_leaves_the_old_model(folder, monkeypatch):
    before = (folder / "model.safetensors").read_bytes()

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_model(folder, build_network(RECORDS["teacher"], "test"))
    assert (folder / "model.safetensors").read_bytes() == before


def edit_config(change):
    def edit(folder):
        config = yaml.safe_load((folder / "config.yaml").read_text())
        change(config)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))

    return edit


def edit_weights(change):
    def edit(folder):
        path = folder / "model.safetensors"
        path.write_bytes(change(path.read_bytes()))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.yaml").unlink(), r"no finished model \(config.yaml is missing\)"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"no finished model \(model.safetensors is missing\)"),
        (lambda folder: (folder / "config.yaml").write_text(""), "config.yaml: expected 'key: value' lines"),
        (lambda folder: (folder / "config.yaml").write_text("build: [1"), "config.yaml: not valid YAML"),
        (lambda folder: (folder / "config.yaml").write_text("just words"), "config.yaml: expected 'key: value' lines"),
        (lambda folder: (folder / "config.yaml").write_bytes(b"\xff\xfe\x80"), "config.yaml: not valid YAML"),
        (edit_config(lambda config: config.pop("build")), "do not fit"),
        (edit_config(lambda config: config["build"].pop("input_dim")), "do not fit: .*input_dim"),
        (edit_config(lambda config: config["build"].update(input_dim=5)), "do not fit"),
        (edit_config(lambda config: config["build"]["arch"].update(frame_widths=[7] * 5)), "do not fit"),
        (edit_config(lambda config: config["build"]["arch"].pop("frame_widths")), "arch.frame_widths: missing key"),
        (edit_config(lambda config: config["build"].update(network="rnn")), "'rnn': no such variant in teachers"),
        (edit_weights(lambda data: b""), "do not fit"),
        (edit_weights(lambda data: data[:100]), "do not fit"),
        (edit_weights(lambda data: data[:-4]), "do not fit"),
        (edit_weights(lambda data: b"\x80" * len(data)), "do not fit"),
        (edit_weights(lambda data: pickle.dumps({"code": print})), "do not fit"),
    ],
)
def test_a_damaged_or_unfinished_model_is_told(folder, damage, message):
    damage(folder)
    with pytest.raises(UserError, match=message) as caught:
        load_model(folder)
    assert str(folder) in str(caught.value) or "no such variant" in message


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"teacher_x: no finished model"):
        load_model(tmp_path / "teacher_x")
