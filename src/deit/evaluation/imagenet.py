"""ImageNet's relatives in the order of the thousand classes, from the lists that timm ships.

The masks are those of timm's validate.py: of a thousand logits the columns of a set's classes, in ascending order.
"""

import json
from functools import cache
from importlib import resources

NUM_CLASSES = 1000
NUM_VAL = 50_000


@cache
def subset(name: str) -> tuple[int, ...]:
    """The 200 of the thousand classes that ImageNet-A (Hendrycks et al., 2021, "Natural Adversarial Examples") or
    ImageNet-R (Hendrycks et al., 2021, "The Many Faces of Robustness") has, ascending.

    name: ``a`` or ``r``.
    """
    return tuple(map(int, _text(f"imagenet_{name}_indices.txt").split()))


@cache
def real_labels() -> tuple[frozenset[int], ...]:
    """The classes that each of the 50,000 validation images shows, in the order of their numbers; of some none.

    Beyer et al. (2020), "Are we done with ImageNet?": an image without a label does not count.
    """
    return tuple(map(frozenset, json.loads(_text("imagenet_real_labels.json"))))


def val_number(file_name: str) -> int | None:
    """The number from 0 on of a validation image, told by its name (ILSVRC2012_val_00000001.JPEG); None of others."""
    begin, _, number = file_name.partition(".")[0].rpartition("_")
    known = begin == "ILSVRC2012_val" and number.isdecimal() and 1 <= int(number) <= NUM_VAL
    return int(number) - 1 if known else None


def _text(file: str) -> str:
    return (resources.files("timm.data") / "_info" / file).read_text(encoding="utf-8")
