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
