"""What of a teacher's answer is kept, and what comes back: its decision, its largest logits, or all of them.

Shapes: B batch, K classes, k logits kept, N images of the source.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

LEAST = 1e-7  # probability, the order of what float32 rounds away


class Kept(Protocol):
    """What is kept beside the decision: fields of an answer, each with the type of a row of its file."""

    fields: Mapping[str, np.dtype]

    def encode(self, logits: Tensor) -> dict[str, np.ndarray]:
        """The fields of (B, K) float32 logits, B rows each."""
        ...

    def decode(self, decisions: np.ndarray, fields: Mapping[str, np.ndarray]) -> Tensor:
        """What the student learns from, of (B,) int64 decisions and B rows of each field."""
        ...

    def share(self, fields: Mapping[str, np.ndarray], images: np.ndarray) -> float:
        """Mean probability of the classes whose logits are kept, over some of the N ``images`` that fields are of."""
        ...


class DecisionsAlone:
    """Nothing else: what comes back are the (B,) decisions."""

    fields: Mapping[str, np.dtype] = {}

    def encode(self, logits: Tensor) -> dict[str, np.ndarray]:
        return {}

    def decode(self, decisions: np.ndarray, fields: Mapping[str, np.ndarray]) -> Tensor:
        return torch.from_numpy(decisions)

    def share(self, fields: Mapping[str, np.ndarray], images: np.ndarray) -> float:
        return 0.0


class AllLogits:
    """Every logit as the teacher gave it: no longer than class numbers and halves would be, and exact."""

    def __init__(self, num_classes: int) -> None:
        self.fields: Mapping[str, np.dtype] = {"logits": np.dtype((np.float32, (num_classes,)))}

    def encode(self, logits: Tensor) -> dict[str, np.ndarray]:
        return {"logits": logits.numpy()}

    def decode(self, decisions: np.ndarray, fields: Mapping[str, np.ndarray]) -> Tensor:
        return torch.from_numpy(fields["logits"])

    def share(self, fields: Mapping[str, np.ndarray], images: np.ndarray) -> float:
        return 1.0


class LargestLogits:
    """The k largest logits and the logarithm of the sum over all, in half precision, relative to the largest.

    Any temperature can be taken of them, but for how the small ones share what is left: evenly.
    """

    def __init__(self, num_kept: int, num_classes: int) -> None:
        self.num_kept, self.num_classes = num_kept, num_classes
        self.fields: Mapping[str, np.dtype] = {
            "class": np.dtype((np.uint16, (num_kept,))),
            "logit": np.dtype((np.float16, (num_kept,))),
            "total": np.dtype(np.float16),
        }

    def encode(self, logits: Tensor) -> dict[str, np.ndarray]:
        best = logits.topk(self.num_kept, dim=-1)
        relative = best.values - best.values[:, :1]
        total = logits.logsumexp(dim=-1) - best.values[:, 0]
        return {"class": best.indices.numpy(), "logit": relative.numpy(), "total": total.numpy()}

    def decode(self, decisions: np.ndarray, fields: Mapping[str, np.ndarray]) -> Tensor:
        """(B, K) float32 logits whose softmax at temperature 1 has the kept probabilities."""
        logit = torch.from_numpy(fields["logit"].astype(np.float32))
        total = torch.from_numpy(fields["total"].astype(np.float32))[:, None]
        # Rounding may leave the other classes less than nothing.
        left = (1 - (logit - total).exp().sum(dim=-1, keepdim=True)).clamp(min=LEAST)
        others = (left / (self.num_classes - self.num_kept)).log() + total
        classes = torch.from_numpy(fields["class"].astype(np.int64))
        return others.expand(-1, self.num_classes).scatter(1, classes, logit)

    def share(self, fields: Mapping[str, np.ndarray], images: np.ndarray) -> float:
        logit, total = (fields[name][images].astype(np.float32) for name in ("logit", "total"))
        return float(np.exp(logit - total[:, None]).sum(axis=-1).mean())


def decisions(answer: Tensor) -> Tensor:
    """(B,) int64 classes that an answer decides for: of (B, K) logits, or (B,) decisions themselves."""
    return answer if answer.dim() == 1 else answer.argmax(dim=-1)


def kept(top: int, num_classes: int) -> Kept:
    """What is kept where the ``top`` largest of ``num_classes`` logits are asked for."""
    if not top:
        return DecisionsAlone()
    return AllLogits(num_classes) if top >= num_classes else LargestLogits(top, num_classes)
