"""From images in [0, 1], or as the data normalise them, to what one network was trained on.

Shapes: B batch, H height, W width, S the side a network asks for.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LARGEST_IMAGE = 4096  # pixels a side; no classifier of timm sees more than 1,024


@dataclass(frozen=True)
class Inputs:
    """What a network was trained to see; kept beside its weights, so that it is never guessed again."""

    mean: tuple[float, ...]
    """Per-channel mean of images in [0, 1]."""
    std: tuple[float, ...]
    """Per-channel standard deviation of images in [0, 1]."""
    image_size: int | None
    """Side in pixels; None: whatever comes."""

    def metadata(self) -> dict[str, str]:
        """The same as strings, which is all that the header of a safetensors file can hold."""
        values = {"mean": list(self.mean), "std": list(self.std), "image_size": self.image_size}
        return {key: json.dumps(value) for key, value in values.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "Inputs | None":
        """What `metadata` wrote; None where a file carries no such record.

        Raises:
            ValueError: for a record that says nothing sensible.
        """
        if not {"mean", "std", "image_size"} <= metadata.keys():
            return None
        try:
            mean, std = (tuple(map(float, json.loads(metadata[key]))) for key in ("mean", "std"))
            size = json.loads(metadata["image_size"])
            found = cls(mean, std, None if size is None else int(size))
        except (TypeError, RecursionError) as error:
            raise ValueError(str(error)) from None
        if not (len(mean) == len(std) == 3 and all(map(math.isfinite, mean)) and all(0 < s < math.inf for s in std)):
            raise ValueError(f"mean {mean} and std {std} are not of three channels")
        if found.image_size is not None and not 0 < found.image_size <= LARGEST_IMAGE:
            raise ValueError(f"an image has no {found.image_size} pixels a side")
        return found


class Preprocess(nn.Module):
    """Resizes where the size differs, then normalises: (x - mean) / std per channel.

    The buffers are not persistent: weights files keep timm's layout, and EMA and FSDP see only the network.

    Args:
        mean, std, image_size: What the network was trained to see.
        given: Mean and deviation by which images come normalised already, as batches of the data do; None: in [0, 1].
    """

    mean: Tensor
    std: Tensor
    given_mean: Tensor
    given_std: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        image_size: int | None,
        *,
        given: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        super().__init__()
        self.inputs = Inputs(tuple(mean), tuple(std), image_size)
        centre, spread = given or ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.is_done = (tuple(centre), tuple(spread)) == (self.inputs.mean, self.inputs.std)
        for name, values in (("mean", mean), ("std", std), ("given_mean", centre), ("given_std", spread)):
            self.register_buffer(name, torch.tensor(tuple(values)).view(1, 3, 1, 1), persistent=False)
        self.is_raw = given is None

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 3, S, S), normalised; H and W stay where no size is asked for."""
        size = self.inputs.image_size
        if size is not None and images.shape[-2:] != (size, size):
            # Bicubic overshoots at edges; an image file could never hold such values.
            black, white = -self.given_mean / self.given_std, (1 - self.given_mean) / self.given_std
            images = F.interpolate(images, (size, size), mode="bicubic", antialias=True).clamp(black, white)
        if self.is_done:
            return images
        if not self.is_raw:
            images = images * self.given_std + self.given_mean
        return (images - self.mean).div_(self.std)
