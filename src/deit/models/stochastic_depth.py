"""Stochastic depth (drop path) whose masks depend on the sample, not on its place in a batch.

timm draws masks from a generator, in the order of the samples in a device's batch. Here each layer compares its rate
with numbers that are set for the batch, one per sample, so a sample has the same masks on any number of devices.

Shapes: B batch, L masks of a network.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from timm.layers.drop import DropPath
from torch import Tensor, nn


class KeyedDropPath(DropPath):
    """timm's `DropPath`, which drops the samples whose number for this layer is below its rate.

    Without numbers, outside of a training step, it draws from the generator as timm does.

    Args:
        num_calls: Calls in a forward pass: some blocks of timm use one module for both of their branches, some none.
    """

    def __init__(self, drop_prob: float, scale_by_keep: bool = True, *, num_calls: int = 1) -> None:
        super().__init__(drop_prob, scale_by_keep)
        self.num_calls = num_calls
        self.numbers: Tensor | None = None
        self._next = 0

    def set_numbers(self, numbers: Tensor | None) -> None:
        """Use (num_calls, B) numbers in [0, 1), a row for each call, until others are set; None: draw."""
        self.numbers, self._next = numbers, 0

    def forward(self, x: Tensor) -> Tensor:
        if self.numbers is None or not self.training or self.numbers.shape != (self.num_calls, len(x)):
            return super().forward(x)
        row = self.numbers[self._next]
        if self.num_calls > 1:
            # Blocks that are computed twice for the gradient make the same calls in the same order.
            self._next = (self._next + 1) % self.num_calls
        kept = (row >= self.drop_prob).to(x.dtype)
        if self.scale_by_keep:
            kept = kept / (1 - self.drop_prob)
        return x * kept.view(-1, *[1] * (x.ndim - 1))


def key_drop_paths(net: nn.Module, *, num_calls: int = 1) -> None:
    """Replace timm's modules for stochastic depth in ``net`` by keyed ones, each called ``num_calls`` times."""
    found = [
        (parent, name, child)
        for parent in net.modules()
        for name, child in parent.named_children()
        if type(child) is DropPath and child.drop_prob > 0
    ]
    for parent, name, child in found:
        setattr(parent, name, KeyedDropPath(child.drop_prob, child.scale_by_keep, num_calls=num_calls))


def keyed_drop_paths(net: nn.Module) -> list[KeyedDropPath]:
    """Return the keyed modules of ``net`` in their order."""
    return [module for module in net.modules() if isinstance(module, KeyedDropPath)]


@contextmanager
def counted_calls(net: nn.Module) -> Iterator[None]:
    """Count how often a forward pass of ``net`` within the context calls each of its keyed modules."""
    calls = dict.fromkeys(keyed_drop_paths(net), 0)

    def count(module: nn.Module, *_: object) -> None:
        assert isinstance(module, KeyedDropPath)
        calls[module] += 1

    hooks = [module.register_forward_hook(count) for module in calls]
    yield
    for hook in hooks:
        hook.remove()
    for module, number in calls.items():
        module.num_calls = number


def num_masks(paths: Sequence[KeyedDropPath]) -> int:
    """Return L, the number of masks per sample that a forward pass through ``paths`` needs."""
    return sum(path.num_calls for path in paths)


def set_numbers(paths: Sequence[KeyedDropPath], numbers: Tensor | None) -> None:
    """Distribute (L, B) numbers in [0, 1) over ``paths``; None: let them draw."""
    first = 0
    for path in paths:
        path.set_numbers(None if numbers is None else numbers[first : first + path.num_calls])
        first += path.num_calls
