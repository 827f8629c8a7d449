"""What is logged of a GPU, of which there is none here: torch is stood in for."""

import logging

import pytest
import torch

from xvkd.training.device import GpuUse

GPU = torch.device("cuda", 0)


def test_of_a_processor_there_is_nothing_to_log():
    use = GpuUse(torch.device("cpu"))
    use.look()
    assert use.figures() == {}


@pytest.fixture
def memory(monkeypatch):
    """Three GiB, until it is counted anew."""
    taken = [3 * 2**30]
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: taken[0])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: taken.__setitem__(0, 2**30))


def test_mean_use_and_most_memory_since_the_last_time(memory, monkeypatch):
    percent = iter([40, 70, 90])
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: next(percent))
    use = GpuUse(GPU)
    use.look()
    use.look()
    assert use.figures() == {"gpu_percent": 55, "gpu_memory_gib": 3}
    use.look()
    assert use.figures() == {"gpu_percent": 90, "gpu_memory_gib": 1}


def test_a_driver_that_does_not_tell_is_asked_once(memory, monkeypatch, caplog):
    asked = []

    def refuse(device):
        asked.append(device)
        raise ModuleNotFoundError("pynvml")

    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    use = GpuUse(GPU)
    with caplog.at_level(logging.WARNING):
        use.look()
        use.look()
    assert asked == [GPU] and "pip install nvidia-ml-py" in caplog.text
    assert use.figures() == {"gpu_percent": None, "gpu_memory_gib": 3}
