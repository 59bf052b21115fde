"""Position embeddings at another resolution.

Shapes: P prefix tokens (class, distillation), N patch tokens, D width, (h, w) patches down and across.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

Grid = tuple[int, int]


def resample_positions(
    pos_embed: Tensor, old_grid: Grid, new_grid: Grid, num_prefix: int, antialias: bool = False
) -> Tensor:
    """Position embeddings of ``old_grid`` resampled to ``new_grid``, which need not be square.

    Bicubic, because bilinear shrinks the norm of the vectors (DeiT, section 3); as in the official fine-tuning code
    without antialiasing. timm antialiases, which changes the cubic kernel (a = -0.5 instead of -0.75) even when the
    grid grows; ``antialias=True`` gives timm's numbers.

    pos_embed: (1, P + h * w, D); returns (1, P + h' * w', D), the P prefix rows unchanged.
    """
    expected = num_prefix + old_grid[0] * old_grid[1]
    assert pos_embed.shape[1] == expected, f"{pos_embed.shape[1]} rows, {expected} expected for {old_grid}"
    if old_grid == new_grid:
        return pos_embed
    prefix, patches = pos_embed[:, :num_prefix], pos_embed[:, num_prefix:]
    image = patches.float().unflatten(1, old_grid).permute(0, 3, 1, 2)  # (1, D, h, w); float: halves lose digits here
    image = F.interpolate(image, new_grid, mode="bicubic", align_corners=False, antialias=antialias)
    resampled = image.permute(0, 2, 3, 1).flatten(1, 2).to(pos_embed.dtype)  # (1, h' * w', D)
    return torch.cat((prefix, resampled), dim=1)
