"""Keys: every random choice of the data path is a function of (seed, view, index) and nothing else.

A *view* is one augmented rendering of an image: view v is the v-th time the image is drawn. A key
names a rendering for ever, whatever the batch, the worker, the device or the process that makes it.
"""

import random
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch

_MASK = (1 << 64) - 1
_FROZEN = np.random.RandomState(0)


class Stream(IntEnum):
    """What a number is drawn for; streams of one seed are independent of each other."""

    ORDER = 1
    VIEW = 2
    ERASE = 3
    MIX = 4
    STEP = 5
    SHOWN = 6
    STAND_IN = 7
    DEPTH = 8


@dataclass(frozen=True, slots=True)
class Key:
    """A rendering of one image."""

    view: int
    index: int
    """Position of the image in its source, not in the subset that is trained on."""


def mix(*parts: int) -> int:
    """Hash whole numbers to one of 64 bits: SplitMix64's finaliser (Steele et al., 2014) over a running state."""
    state = 0
    for part in parts:
        state = (state ^ (part & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def mix_arrays(*parts: int | np.ndarray) -> np.ndarray:
    """Return `mix` of whole numbers that may be int64 arrays, broadcast against each other: uint64."""
    state = np.zeros(1, np.uint64)  # arrays wrap around in silence, which scalars do not
    for part in parts:
        bits = np.uint64(part & _MASK) if isinstance(part, int) else part.astype(np.uint64)
        state = (state ^ bits) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ state >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ state >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return state


def depth_numbers(seed: int, epoch: int, views: torch.Tensor, indices: torch.Tensor, num_masks: int) -> torch.Tensor:
    """Return a uniform number in [0, 1) per mask and sample, for stochastic depth: (num_masks, B) float32.

    The epoch is part of the key, because views may come again and their masks should not.

    Args:
        views, indices: (B,) int64 keys of the samples, on the CPU.
    """
    layers = np.arange(num_masks)[:, None]
    bits = mix_arrays(seed, Stream.DEPTH, epoch, views.numpy(), indices.numpy(), layers)
    return torch.from_numpy((bits >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24))


def seed_globals(*parts: int) -> None:
    """Seed Python's, NumPy's and PyTorch's global generators: what timm and torchvision draw from."""
    seed = mix(*parts)
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # the most that it takes
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach the GPUs too, for 250 us


def frozen_generator(*parts: int) -> np.random.RandomState:
    """A generator whose stream NumPy promises never to change, unlike that of ``np.random.Generator``.

    It is the same object every time, seeded anew, which takes a tenth of making one: draw before you ask again.
    """
    seed = mix(*parts)
    _FROZEN.seed([seed & 0xFFFFFFFF, seed >> 32])
    return _FROZEN
