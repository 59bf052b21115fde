"""Names by which people call the folders of a split: train/, Training/, val_set/, seg_test/, test2017/."""

import re
from collections.abc import Collection

WORDS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validate", "validation", "validating", "dev", "development", "eval", "evaluation"),
    "test": ("test", "tests", "testing", "tst", "holdout", "heldout"),
}
FILLERS = frozenset(
    "set sets data dataset images image imgs img pictures photos samples examples files split folder part".split()  # noqa: SIM905 - words
)
"""Words beside which the other one says which split it is."""
NEVER = "class"
"""Word that keeps a name from being a split's: what to rename a class to that is called like one."""
SPLIT_OF = {word: split for split, words in WORDS.items() for word in words}


def split_named(name: str) -> str | None:
    """Return the split (train, val or test) that ``name`` by itself is a usual name of, or None."""
    words = _words(name)
    return SPLIT_OF[words[0]] if len(words) == 1 and words[0] in SPLIT_OF else None


def splits_named(names: Collection[str]) -> dict[str, str]:
    """Return the split of each of ``names`` that is one's, read beside each other.

    A word more is understood where names of two splits share it, as in seg_train and seg_test; a class such as
    steam_train beside steam_engine has no such relative, and class-train is never a split.
    """
    found = {name: split for name in names if (split := split_named(name)) is not None}
    akin: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        words = _words(name)
        known = [word for word in words if word in SPLIT_OF]
        if len(known) == 1 and len(words) > 1 and NEVER not in words:
            rest = tuple("" if word in SPLIT_OF else word for word in words)
            akin.setdefault(rest, {})[name] = SPLIT_OF[known[0]]
    for relatives in akin.values():
        if len(set(relatives.values())) > 1 and "train" in relatives.values():
            found |= relatives
    return found


def _words(name: str) -> list[str]:
    """Return the words of a name in small letters, without numbers and without those that every split may have."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    found = []
    for word in re.findall(r"[^\W\d_]+", apart.lower()):
        ending = next((end for end in ("set", "data", "images") if word.removesuffix(end) in SPLIT_OF), "")
        found.append(word.removesuffix(ending))
    kept = [word for word in found if word not in FILLERS]
    return ["holdout"] if kept in (["hold", "out"], ["held", "out"]) else kept
