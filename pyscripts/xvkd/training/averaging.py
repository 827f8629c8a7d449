"""The mean of a network's weights after several epochs, which often does better than each of them."""

import torch


class Average:
    """The running mean of state dicts; weights and the statistics of BatchNorm alike, counters as they were last."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._count = 0

    def add(self, weights: dict[str, torch.Tensor]) -> None:
        """Counts one more."""
        self._count += 1
        for name, tensor in weights.items():
            tensor = tensor.detach().cpu()
            if tensor.is_floating_point():
                # In double precision: the mean of equal weights is these weights.
                tensor = tensor.double() + self._sums.get(name, 0.0)
            self._sums[name] = tensor.clone()

    def mean(self) -> dict[str, torch.Tensor]:
        """The mean of those that were counted."""
        return {
            name: (total / self._count).float() if total.is_floating_point() else total
            for name, total in self._sums.items()
        }

    def state_dict(self) -> dict[str, object]:
        """For a checkpoint."""
        return {"sums": self._sums, "count": self._count}

    def load_state_dict(self, state: dict) -> None:
        """From a checkpoint."""
        self._sums, self._count = state["sums"], state["count"]
