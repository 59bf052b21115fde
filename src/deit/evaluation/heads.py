"""The heads of a student and how they are fused. Shapes: B batch, K classes."""

import math

import torch
from torch import Tensor

from deit.config.teaching import Fusion


def softmax_fusion(class_logits: Tensor, distill_logits: Tensor) -> Tensor:
    """Sum of the two heads' softmax outputs (DeiT section 3, "Classification with our approach"): (B, K) in [0, 2]."""
    return class_logits.softmax(dim=-1) + distill_logits.softmax(dim=-1)


def logit_fusion(class_logits: Tensor, distill_logits: Tensor) -> Tensor:
    """Mean of the two heads' logits, as models.py of the official code evaluates: (B, K)."""
    return (class_logits + distill_logits) / 2


def probabilities(
    class_logits: Tensor, distill_logits: Tensor | None, fusion: Fusion = Fusion.softmax
) -> dict[str, Tensor]:
    """What each head holds probable, and ``fused`` what both do where there are two: (B, K), rows that sum to 1."""
    answers = {"class": class_logits.softmax(dim=-1)}
    if distill_logits is not None:
        answers["distill"] = distill_logits.softmax(dim=-1)
        by_softmax = fusion is Fusion.softmax
        fuse = softmax_fusion if by_softmax else logit_fusion
        fused = fuse(class_logits, distill_logits)
        answers["fused"] = fused / 2 if by_softmax else fused.softmax(dim=-1)
    return answers


def log_probabilities(class_logits: Tensor, distill_logits: Tensor | None) -> dict[str, Tensor]:
    """Logarithms of what each head, and each fusion of two, holds probable: (B, K) float32, finite, by name."""
    if distill_logits is None:
        return {"class": class_logits.float().log_softmax(dim=-1)}
    one, other = (logits.float().log_softmax(dim=-1) for logits in (class_logits, distill_logits))
    fused = torch.logaddexp(one, other) - math.log(2)  # softmax_fusion is twice a probability
    by_logits = logit_fusion(class_logits, distill_logits).float().log_softmax(dim=-1)
    return {"class": one, "distill": other, "fused": fused, "fused_logits": by_logits}


def head_names(two_heads: bool) -> tuple[str, ...]:
    """The names under which `by_head` reports the heads; ``""`` is the one to compare by."""
    return ("", "class", "distill", "fused", "fused_logits") if two_heads else ("", "class")


def chosen_head(two_heads: bool, fusion: Fusion) -> str:
    """Return the name of the head that a student is judged by: ``fusion`` of two, or the only one."""
    if not two_heads:
        return "class"
    return "fused" if fusion is Fusion.softmax else "fused_logits"


def by_head(class_logits: Tensor, distill_logits: Tensor | None, fusion: Fusion = Fusion.softmax) -> dict[str, Tensor]:
    """Scores a head, each (B, K), by the names of `head_names`.

    ``""`` is ``fused`` or ``fused_logits``, as ``fusion`` says, where there are two heads, else ``class``.
    """
    if distill_logits is None:
        return {"": class_logits, "class": class_logits}
    fused = {
        "fused": softmax_fusion(class_logits, distill_logits),
        "fused_logits": logit_fusion(class_logits, distill_logits),
    }
    chosen = fused["fused" if fusion is Fusion.softmax else "fused_logits"]
    return {"": chosen, "class": class_logits, "distill": distill_logits, **fused}
