"""From images in [0, 1] to what one network was trained on.

Shapes: B batch, H height, W width, S the side a network asks for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
        """What `metadata` wrote; None where a file carries no such record."""
        if not {"mean", "std", "image_size"} <= metadata.keys():
            return None
        mean, std = (tuple(map(float, json.loads(metadata[key]))) for key in ("mean", "std"))
        size = json.loads(metadata["image_size"])
        return cls(mean, std, None if size is None else int(size))


class Preprocess(nn.Module):
    """Resizes where the size differs, then normalises: (x - mean) / std per channel.

    The buffers are not persistent: weights files keep timm's layout, and EMA and FSDP see only the network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], image_size: int | None) -> None:
        super().__init__()
        self.inputs = Inputs(tuple(mean), tuple(std), image_size)
        self.register_buffer("mean", torch.tensor(self.inputs.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.inputs.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to (B, 3, S, S), normalised; H and W stay where no size is asked for."""
        size = self.inputs.image_size
        if size is not None and images.shape[-2:] != (size, size):
            # Bicubic overshoots at edges; an image file could never hold such values.
            images = F.interpolate(images, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
        return (images - self.mean).div_(self.std)  # in place: another 77 MB for a batch of 128 would cost as much
