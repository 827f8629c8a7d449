"""Norms that ranks share are those of the network, with its statistics, in its layout."""

import pytest
import torch
from small_networks import SMALL, SMALL_STUDENTS, small_network
from torch.nn.modules.batchnorm import _BatchNorm

from xvkd.nets.layers import FrameNorm
from xvkd.training.parallel import GpuFrameNorm, SynchronisedFrameNorm, SynchronisedNorm, synchronise


@pytest.mark.parametrize("name", [*SMALL, *SMALL_STUDENTS])
def test_a_network_stays_what_it_is(name):
    network, same = small_network(name), small_network(name)
    synchronise(network)
    assert {type(norm) for norm in network.modules() if isinstance(norm, _BatchNorm)} <= {
        SynchronisedNorm, SynchronisedFrameNorm
    }  # fmt: skip
    assert network.state_dict().keys() == same.state_dict().keys()
    features = torch.randn(3, 60, 4)
    level = network.output_level
    assert torch.equal(network(features)[level], same(features)[level])
    # One rank alone, in training: the same output, gradients and statistics.
    outputs = [each.train()(features)[level] for each in (network, same)]
    torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-4)
    for each, output in zip((network, same), outputs, strict=True):
        output.square().sum().backward()
        torch.nn.utils.clip_grad_norm_(each.parameters(), 1.0)
    for one, other in zip(network.parameters(), same.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-2, atol=1e-4)
    for (key, one), other in zip(network.state_dict().items(), same.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4, msg=key)


def test_on_a_gpu_frames_have_the_same_layout():
    """Torch's SyncBatchNorm computes anywhere as long as nobody else is there."""
    frames = torch.randn(3, 20, 5)
    assert torch.equal(GpuFrameNorm(5)(frames), FrameNorm(5)(frames))
