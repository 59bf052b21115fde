"""What networks answer to images, as little of it as every figure needs. Shapes: N images, K classes, B batch, k best.

An answer is a row of numbers, so that devices can exchange what they have seen, whatever the heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deit.evaluation.heads import by_head, log_probabilities

NUM_BEST = 5
"""Decisions in their order that are kept: top-5 is what is reported."""


@dataclass(frozen=True)
class HeadAnswers:
    """What one head, or a fusion of two, says of N images."""

    best: NDArray[np.int64]
    """(N, k) classes by score, the highest first; k is 5, or K where that is less."""
    confidence: NDArray[np.float64]
    """(N,) probability in [0, 1] of the first."""
    nll: NDArray[np.float64]
    """(N,) negative log-likelihood of the label, in nats."""

    @property
    def decisions(self) -> NDArray[np.int64]:
        """(N,) the class that is decided for."""
        return self.best[:, 0]


def answer_rows(
    class_logits: Tensor, distill_logits: Tensor | None, labels: Tensor, among: Tensor | None = None
) -> Tensor:
    """All that is kept of a batch: (B, heads x (k + 2)) float64, which `from_rows` takes apart.

    Args:
        class_logits, distill_logits: (B, K) of each head.
        labels: (B,) classes, among those that a decision may fall on.
        among: Ascending classes that a decision may fall on; the logits of others are left out before any softmax, as
            timm's validate.py does. None: all.
    """
    if among is not None:
        class_logits = class_logits[:, among]
        distill_logits = None if distill_logits is None else distill_logits[:, among]
        labels = torch.searchsorted(among, labels)
    scores = by_head(class_logits, distill_logits)
    columns = []
    for name, held in log_probabilities(class_logits, distill_logits).items():
        best = scores[name].topk(min(NUM_BEST, scores[name].shape[-1]), dim=-1).indices
        chances = torch.stack([held.gather(1, best[:, :1])[:, 0].exp(), -held.gather(1, labels[:, None])[:, 0]], dim=1)
        columns += [(best if among is None else among[best]).double(), chances.double()]
    return torch.cat(columns, dim=1)


def from_rows(rows: NDArray[np.float64], names: tuple[str, ...]) -> Mapping[str, HeadAnswers]:
    """The answers of each of the heads ``names``, of (N, heads x (k + 2)) `answer_rows`."""
    found = {}
    for name, part in zip(names, np.split(rows, len(names), axis=1), strict=True):
        found[name] = HeadAnswers(part[:, :-2].astype(np.int64), part[:, -2], part[:, -1])
    return found
