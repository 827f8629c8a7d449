"""A network that several ranks train: gradients and the statistics of BatchNorm are those of the whole batch."""

import warnings

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from xvkd.nets.layers import FrameNorm, as_frames, as_image
from xvkd.training.ranks import count, gather


class SynchronisedNorm(_BatchNorm):
    """BatchNorm over the parts of all ranks on a processor, for which torch has none."""

    def _check_input_dim(self, x: torch.Tensor) -> None:
        """Of any dimension."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(part of the batch, channels, ...) -> the same shape."""
        if not self.training:
            return super().forward(x)
        # Mean, variance and size of each part are gathered, and the batch's put together (Chan et al., 1979).
        channels = x.shape[1]
        variance, mean = torch.var_mean(x.float(), dim=[0, *range(2, x.dim())], correction=0)
        own = torch.cat([mean, variance, mean.new_tensor([x.numel() / channels])])
        means, variances, sizes = gather(own[None], count()).split([channels, channels, 1], dim=1)
        size = sizes.sum()
        mean = (sizes * means).sum(dim=0) / size
        variance = (sizes * (variances + (means - mean).square())).sum(dim=0) / size
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * size / (size - 1), self.momentum)
        shape = (-1, *[1] * (x.dim() - 2))
        y = (x - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)


class _OfFrames(_BatchNorm):
    """The layout of :class:`FrameNorm`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(part of the batch, frames, channels) -> the same shape."""
        return as_frames(super().forward(as_image(x)))


class SynchronisedFrameNorm(_OfFrames, SynchronisedNorm):
    """That of frames, on a processor."""


class GpuFrameNorm(_OfFrames, nn.SyncBatchNorm):
    """That of frames, on a GPU."""


def synchronise(network: nn.Module) -> None:
    """Puts synchronised norms in the place of a network's own, with the same parameters and statistics."""
    for above in list(network.modules()):
        for name, norm in list(above.named_children()):
            if isinstance(norm, _BatchNorm):
                setattr(above, name, _synchronised(norm))


def _synchronised(norm: _BatchNorm) -> _BatchNorm:
    """For the device on which the norm is."""
    of_frames = isinstance(norm, FrameNorm)
    if norm.running_mean.is_cuda:
        kind = GpuFrameNorm if of_frames else nn.SyncBatchNorm
    else:
        kind = SynchronisedFrameNorm if of_frames else SynchronisedNorm
    new = kind(norm.num_features, norm.eps, norm.momentum, norm.affine)
    new.weight, new.bias = norm.weight, norm.bias
    new.running_mean, new.running_var = norm.running_mean, norm.running_var
    new.num_batches_tracked = norm.num_batches_tracked
    return new.train(norm.training)


def parallel(task: nn.Module) -> nn.Module:
    """A task whose gradients are those of the whole batch: itself, or what stands for it among several ranks.

    Args:
        task: on its device, with its ``network``; ``skips`` says whether a batch may leave parameters without gradient.
    """
    if not distributed.is_initialized():
        return task
    synchronise(task.network)
    # Told of axes with one element, where strides mean nothing; and of a name that older versions do not know.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated")
    return nn.parallel.DistributedDataParallel(task, broadcast_buffers=False, find_unused_parameters=task.skips)
