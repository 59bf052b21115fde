"""Which class is decided for which image: collected batch by batch, put together over devices. N images of a source."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

UNSEEN = -1


class Predictions:
    """Classes by image and name. No nn.Module: it stays out of checkpoints.

    Args:
        names: Whose classes they are, such as ``label`` or ``distill``.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._indices: list[Tensor] = []
        self._classes: list[Tensor] = []

    def clear(self) -> None:
        """Start anew."""
        self._indices.clear()
        self._classes.clear()

    def update(self, indices: Tensor, classes: Mapping[str, Tensor]) -> None:
        """Add (B,) classes under each name, all names at once, of the images at (B,) positions in the source."""
        assert classes.keys() == set(self.names), f"declared {self.names}, given {list(classes)}"
        self._indices.append(indices)
        self._classes.append(torch.stack([classes[name] for name in self.names], dim=1))

    def gather(
        self, num_images: int, device: torch.device, largest: Callable[[Tensor], Tensor]
    ) -> dict[str, NDArray[np.integer]]:
        """All devices' classes, each image once, ascending by its position.

        Args:
            num_images: N.
            device: Where devices exchange.
            largest: Replaces every element of a tensor by the largest over the devices.

        Returns:
            ``index``, positions in the source, and the classes under each name; (n,) of the n images that were seen.
        """
        table = torch.full((num_images, len(self.names)), UNSEEN, device=device)
        if self._indices:
            table[torch.cat(self._indices).to(device)] = torch.cat(self._classes).to(device)
        # No class is below UNSEEN: what another device has not seen changes nothing.
        found = largest(table).cpu().numpy()
        seen = np.flatnonzero((found != UNSEEN).all(axis=1))
        short = found.max(initial=0) <= np.iinfo(np.int16).max
        classes = found[seen].astype(np.int16 if short else np.int32)
        return {"index": seen.astype(np.int32), **dict(zip(self.names, classes.T, strict=True))}
