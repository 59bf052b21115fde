"""Names of classes: ImageNet's, as timm ships them, and what a person calls them."""

import re
from collections.abc import Sequence
from functools import cache

from timm.data.imagenet_info import ImageNetInfo

_WORDNET = re.compile(r"n\d{8}")


def imagenet_classes(num_classes: int) -> tuple[str, ...]:
    """The WordNet names of ImageNet-1k's classes for a network of a thousand, numbers for any other."""
    if num_classes != _info().num_classes():
        return tuple(map(str, range(num_classes)))
    return tuple(map(_info().index_to_label_name, range(num_classes)))


def readable(name: str) -> str:
    """``tench`` for ``n01440764``: the first of its lemmas; other names are left as they are."""
    if not _WORDNET.fullmatch(name):
        return name
    try:
        return _info().label_name_to_description(name).split(",")[0]
    except KeyError:
        return name


def named_as_imagenet(names: Sequence[str]) -> tuple[str, ...] | None:
    """The WordNet names of a thousand classes that are called in words as ImageNet's, in its order; None for others.

    A few may differ: there are two of crane and of maillot, which lists tell apart in several ways.
    """
    classes = imagenet_classes(len(names))
    same = sum(
        name.split(",")[0].lower() == readable(known).lower() for name, known in zip(names, classes, strict=True)
    )
    return classes if len(names) == _info().num_classes() and same > 0.95 * len(names) else None


@cache
def _info() -> ImageNetInfo:
    return ImageNetInfo("imagenet-1k")
