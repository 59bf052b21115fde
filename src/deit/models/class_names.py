"""Names of classes: ImageNet's, as timm ships them, and what a person calls them."""

import re
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


@cache
def _info() -> ImageNetInfo:
    return ImageNetInfo("imagenet-1k")
