"""Who decides differently from whom, image by image. Shapes: D deciders, N images."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from torch import Tensor

from deit.data.keys import Stream, mix


def disagreement(decisions: Tensor) -> Tensor:
    """Share of images on which each pair decides differently, as the paper's Table 4 has it: (D, D) percent.

    Args:
        decisions: (D, N) classes; the labels count as a decider, against which disagreement is the error.
    """
    return (decisions[:, None] != decisions[None]).double().mean(dim=-1) * 100


class McNemar(NamedTuple):
    """Whether two are right equally often, judged by the images on which one of them alone is."""

    only_one: int
    """Images on which the one alone is right."""
    only_other: int
    """Images on which the other alone is right."""
    p: float
    """Probability of a difference at least as large if both were equally good; 1 where they never differ."""


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> McNemar:
    """McNemar's test (1947), exact for any number of images: either is as likely to be the one that is right alone.

    Args:
        one, other: (N,) whether each is right on the same images.
    """
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    differ = only_one + only_other
    return McNemar(only_one, only_other, float(binomtest(only_one, differ).pvalue) if differ else 1.0)


def sample_positions(indices: Tensor, right: Tensor, *, count: int) -> list[int]:
    """Positions of images to show, in order: half by their key alone, then the first that are wrong, then others.

    The key has no seed, so that every run on the same data shows the same first half.

    Args:
        indices: (N,) the images' positions in their source.
        right: (N,) bool, whether the decision that counts is the label.
        count: How many; all where there are fewer.
    """
    order = sorted(range(len(indices)), key=lambda position: mix(Stream.SHOWN, int(indices[position])))
    first, rest = order[: count // 2], order[count // 2 :]
    wrong = [position for position in rest if not right[position]]
    others = [position for position in rest if right[position]]
    return [*first, *wrong, *others][:count]
