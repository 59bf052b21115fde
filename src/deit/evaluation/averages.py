"""Averages of per-image values, exact over batches of any size and over devices."""

from collections.abc import ItemsView, Mapping
from typing import cast

from torch import Tensor, nn
from torchmetrics import MeanMetric


class Averages(nn.Module):
    """One mean a name; synchronised over devices when computed, so that every image counts once.

    Args:
        names: What will be averaged, such as ``acc1_class``.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        # Without its search for NaN, which would leave them out in silence and wait for the device in every step.
        self.means = nn.ModuleDict({name: MeanMetric(nan_strategy="disable") for name in names})

    def update(self, values: Mapping[str, Tensor]) -> None:
        """Add (B,) values under each name, all names at once."""
        assert values.keys() == self.means.keys(), f"declared {list(self.means)}, given {list(values)}"
        for name, value in values.items():
            cast(MeanMetric, self.means[name]).update(value.detach())

    def sums(self) -> dict[str, tuple[float, float]]:
        """Weighted sum and weight so far on this device, by name: what `restore` takes up."""
        return {
            name: (float(cast(Tensor, mean.mean_value)), float(cast(Tensor, mean.weight)))
            for name, mean in cast(ItemsView[str, MeanMetric], self.means.items())
        }

    def restore(self, sums: Mapping[str, tuple[float, float]]) -> None:
        """Go on from what `sums` gave, in another process."""
        for name, (total, weight) in sums.items():
            mean = cast(MeanMetric, self.means[name])
            cast(Tensor, mean.mean_value).fill_(total)
            cast(Tensor, mean.weight).fill_(weight)

    def compute(self, prefix: str) -> dict[str, Tensor]:
        """The means under ``prefix/name``; starts anew."""
        result = {}
        for name, mean in cast(ItemsView[str, MeanMetric], self.means.items()):
            result[f"{prefix}/{name}"] = mean.compute()
            mean.reset()
        return result
