"""The heads of a student and how they are fused. Shapes: B batch, K classes."""

from torch import Tensor


def late_fusion(class_logits: Tensor, distill_logits: Tensor) -> Tensor:
    """Sum of the two heads' softmax outputs (DeiT section 3, "Classification with our approach"): (B, K) in [0, 2]."""
    return class_logits.softmax(dim=-1) + distill_logits.softmax(dim=-1)


def by_head(class_logits: Tensor, distill_logits: Tensor | None) -> dict[str, Tensor]:
    """Scores a head, each (B, K), by the name under which the head is reported.

    ``""`` is the one to compare by: the fused head where there are two (then ``class``, ``distill`` and
    ``fused`` as well), else the class head.
    """
    if distill_logits is None:
        return {"": class_logits, "class": class_logits}
    fused = late_fusion(class_logits, distill_logits)
    return {"": fused, "class": class_logits, "distill": distill_logits, "fused": fused}
