"""The paper's claims as differences in percent points, and what runs say of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from deit.report.seeds import Estimate
from deit.study.settings import CLASS, DISTILL, FUSED, TEACHER, Missing, Seed

BY_CONVNETS = ("token,half,by_convnet_3", "token,half,by_convnet_6", "token,half")
"""Cells of one student whose convnet was fitted for 3, 6, and 12 epochs."""
BY_DEIT = "token,half,by_deit"
"""The cell of the same student whose teacher is a transformer."""


class Verdict(Enum):
    """Where the 95 % interval of a difference lies."""

    confirmed = "confirmed"
    """Wholly above zero."""
    open = "not confirmed"
    """It holds zero, or there is a single seed and so none."""
    opposite = "opposite"
    """Wholly below zero."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """That a difference is positive."""

    name: str
    """In a few words, for a plot."""
    text: str
    source: str
    paper: Mapping[str, tuple[float, float]]
    """The two figures whose difference the paper has, by its model."""
    difference: Callable[[Seed], float]
    """Percent points, of one seed's runs; raises Missing."""
    headline: bool = False
    """Whether it stands in the README's table."""


def verdict(difference: Estimate) -> Verdict:
    """What the interval of a claim's difference says of it."""
    mean, half = difference.mean, difference.half_width
    if half is None or abs(mean) <= half:
        return Verdict.open
    return Verdict.confirmed if mean > 0 else Verdict.opposite


def under_convnet(seed: Seed, accuracy: float) -> float:
    """Accuracy of the student whose convnet has ``accuracy``: linear between the nearest worse and better convnets.

    Raises:
        Missing: where no convnet is worse, or none better.
    """
    known = sorted((seed.teacher(cell), seed(cell)) for cell in BY_CONVNETS)
    for (worse, low), (better, high) in pairwise(known):
        if worse <= accuracy <= better:
            return low + (high - low) * (accuracy - worse) / ((better - worse) or 1.0)
    raise Missing(
        f"no convnets on both sides of {accuracy:.1f} %: {', '.join(f'{teacher:.1f}' for teacher, _ in known)}"
    )


def _gain(seed: Seed, cell: str) -> float:
    """What the second half of the epochs brings."""
    return seed(cell) - seed(f"{cell},half")


CLAIMS: Sequence[Claim] = (
    Claim(
        name="hard over soft",
        text="The teacher's hard labels teach better than its soft ones",
        source="Table 3, class token only",
        paper={"Ti": (74.3, 72.2), "B": (83.0, 81.8)},
        headline=True,
        difference=lambda of: of("hard") - of("soft"),
    ),
    Claim(
        name="hard over none",
        text="The teacher's hard labels help, without a token too",
        source="Table 3, class token only",
        paper={"Ti": (74.3, 72.2), "B": (83.0, 81.8)},
        difference=lambda of: of("hard") - of("none"),
    ),
    Claim(
        name="token over none",
        text="Hard labels through a distillation token help",
        source="Table 3, both heads",
        paper={"Ti": (74.5, 72.2), "B": (83.4, 81.8)},
        headline=True,
        difference=lambda of: of("token", FUSED) - of("none"),
    ),
    Claim(
        name="token over hard",
        text="Hard labels help more through a token than without one",
        source="Table 3, both heads",
        paper={"Ti": (74.5, 74.3), "B": (83.4, 83.0)},
        difference=lambda of: of("token", FUSED) - of("hard"),
    ),
    Claim(
        name="distillation head over class head",
        text="The distillation head beats the class head",
        source="Table 3",
        paper={"Ti": (74.6, 73.9), "B": (83.1, 83.0)},
        headline=True,
        difference=lambda of: of("token", DISTILL) - of("token", CLASS),
    ),
    Claim(
        name="both heads over the better one",
        text="Both heads together beat the better one",
        source="Table 3",
        paper={"Ti": (74.5, 74.6), "B": (83.4, 83.1)},
        headline=True,
        difference=lambda of: of("token", FUSED) - max(of("token", CLASS), of("token", DISTILL)),
    ),
    Claim(
        name="convnet over transformer",
        text="A convnet teaches better than a transformer of its accuracy",
        source="Table 2, RegNetY-8GF and DeiT-B",
        paper={"B": (82.7, 81.9)},
        headline=True,
        difference=lambda of: under_convnet(of, of.teacher(BY_DEIT)) - of(BY_DEIT),
    ),
    Claim(
        name="student over teacher",
        text="The student passes its teacher",
        source="Tables 2 and 3",
        paper={"Ti": (74.5, 82.9), "B": (83.4, 82.9)},
        headline=True,
        difference=lambda of: of("token", FUSED) - of.teacher("token"),
    ),
    Claim(
        name="longer, taught",
        text="Longer training helps a taught student",
        source="Figure 3 and Table 5, 1000 epochs over 300",
        paper={"Ti": (76.6, 74.5), "B": (84.2, 83.4)},
        headline=True,
        difference=lambda of: _gain(of, "token"),
    ),
    Claim(
        name="longer, taught over alone",
        text="Longer training helps a taught student more than one that learns alone",
        source="Figure 3, gains of 1000 epochs over 300",
        paper={"B": (0.8, 0.4)},
        difference=lambda of: _gain(of, "token") - _gain(of, "none"),
    ),
    Claim(
        name="resolution, alone",
        text="Fine-tuning at a higher resolution helps a student that learnt alone",
        source="Table 3, no distillation, 384 over 224",
        paper={"B": (83.1, 81.8)},
        difference=lambda of: of("none,up_224") - of("none"),
    ),
    Claim(
        name="resolution, taught",
        text="Fine-tuning at a higher resolution helps a taught student",
        source="Table 3, both heads, 384 over 224",
        paper={"B": (84.5, 83.4)},
        headline=True,
        difference=lambda of: of("token,up_224", FUSED) - of("token", FUSED),
    ),
    Claim(
        name="agrees with the convnet: distillation head over class head",
        text="The distillation head agrees more with the teacher than the class head does",
        source="Table 4",
        paper={"B": (90.0, 88.8)},
        difference=lambda of: (
            of.agreement("token", DISTILL, "token", TEACHER) - of.agreement("token", CLASS, "token", TEACHER)
        ),
    ),
    Claim(
        name="agrees with the convnet: taught over alone",
        text="A taught student agrees more with the convnet than one that learnt alone",
        source="Table 4, both heads",
        paper={"B": (89.8, 86.7)},
        headline=True,
        difference=lambda of: (
            of.agreement("token", FUSED, "token", TEACHER) - of.agreement("none", CLASS, "token", TEACHER)
        ),
    ),
    Claim(
        name="taught agrees: with the convnet over the other student",
        text="A taught student agrees more with the convnet than with the student that learnt alone",
        source="Table 4, both heads",
        paper={"B": (89.8, 89.3)},
        difference=lambda of: (
            of.agreement("token", FUSED, "token", TEACHER) - of.agreement("token", FUSED, "none", CLASS)
        ),
    ),
)
