"""A trained network as one function from images to named outputs, and how far another form of it is from that.

Shapes: B batch, S side of the images, K classes.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from deit.config.errors import RunError
from deit.config.teaching import Fusion
from deit.evaluation.heads import logit_fusion
from deit.models.preprocess import Preprocess
from deit.models.students import Student
from deit.models.trained import Trained

INPUT = "images"
ONE_HEAD = ("logits",)
TWO_HEADS = ("logits", "class_logits", "distillation_logits")
BATCHES = (1, 7)
"""Sizes at which a form is compared: alone, as most are asked, and a number that is no power of two."""
TOLERANCE = 1e-4
"""Largest difference of a logit that float32 in another order of sums explains."""

Ask = Callable[[Tensor], Sequence[Tensor]]


class Answer(nn.Module):
    """Images to the logits to decide by, followed by those of each head where there are two.

    Args:
        preprocess: Whether it takes pixels in [0, 1], or images that are normalised already.
    """

    def __init__(self, trained: Trained, *, preprocess: bool) -> None:
        super().__init__()
        self.preprocess = preprocess
        inputs = trained.inputs
        self.image_size = trained.image_size
        given = None if preprocess else (inputs.mean, inputs.std)
        prepare = Preprocess(inputs.mean, inputs.std, self.image_size, given=given)
        # Weights laid out for convolutions (channels_last) are warned about when a program is saved.
        net = trained.student.net.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue] - torch's stub forgets it
        self.student = Student(net, prepare).eval().requires_grad_(False)
        self.fusion = trained.fusion

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what `forward` returns."""
        return TWO_HEADS if self.student.two_heads else ONE_HEAD

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) to (B, K) logits, a tensor for each of `outputs`."""
        classes, distill = self.student(images)
        if distill is None:
            return (classes,)
        return fused_logits(classes, distill, self.fusion), classes, distill


def fused_logits(class_logits: Tensor, distill_logits: Tensor, fusion: Fusion) -> Tensor:
    """(B, K) logits whose softmax is what both heads together hold probable."""
    if fusion is Fusion.logits:
        return logit_fusion(class_logits, distill_logits)
    both = torch.stack([class_logits, distill_logits]).log_softmax(dim=-1)
    return both.logsumexp(dim=0) - math.log(2)


def differences(ask: Ask, answer: Answer) -> dict[int, float]:
    """Largest absolute difference of any output of ``ask`` from that of ``answer``, by batch size."""
    generator = torch.Generator().manual_seed(0)
    given = answer.student.preprocess
    found = {}
    with torch.no_grad():
        for batch in BATCHES:
            pixels = torch.rand(batch, 3, answer.image_size, answer.image_size, generator=generator)
            images = (pixels - given.given_mean) / given.given_std
            pairs = zip(ask(images), answer(images), strict=True)
            found[batch] = max(float((one - other).abs().max()) for one, other in pairs)
    return found


def refuse_another(found: dict[int, float], what: str) -> None:
    """Raise RunError if ``what`` does not answer as the network it was made from."""
    if not all(difference <= TOLERANCE for difference in found.values()):  # NaN is not within it either
        raise RunError(
            f"{what} does not answer as the network does: logits differ by {said(found)}, more than"
            f" {TOLERANCE:g}; nothing was written; pass another format"
        )


def said(found: dict[int, float]) -> str:
    """``up to 2.4e-07 (batch 1), …``."""
    return "up to " + ", ".join(f"{difference:.1e} (batch {batch})" for batch, difference in found.items())
