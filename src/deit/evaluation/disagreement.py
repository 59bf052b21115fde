"""Who decides differently from whom, image by image. Shapes: D deciders, N images."""

from torch import Tensor

from deit.data.keys import Stream, mix


def disagreement(decisions: Tensor) -> Tensor:
    """Share of images on which each pair decides differently, as the paper's Table 4 has it: (D, D) percent.

    Args:
        decisions: (D, N) classes; the labels count as a decider, against which disagreement is the error.
    """
    return (decisions[:, None] != decisions[None]).double().mean(dim=-1) * 100


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
