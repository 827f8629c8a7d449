"""Configuration of models: what cannot be trained is told before anything is."""

import pytest

from xvkd.errors import UserError
from xvkd.nets.models import TEACHERS, BuildRecord, build_network
from xvkd.training.config import check_chunks, load_model_config


def check(conf, chunk_frames):
    path = conf / "teachers" / "etdnn.yaml"
    model, _, features, _ = load_model_config(path, [f"training.chunk_frames={chunk_frames}"])
    network = build_network(BuildRecord(TEACHERS, model.network, model.arch, features.dim, 0), str(path))
    check_chunks(model.training, network.receptive_field, path)


def test_chunks_shorter_than_the_network_can_read_are_told(conf):
    check(conf, 23)
    with pytest.raises(UserError, match=r"etdnn.yaml: training.chunk_frames: 22 is impossible .the network needs 23"):
        check(conf, 22)
