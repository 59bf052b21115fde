"""Identity of a dataset: which images are in which split, with which labels and contents, and how two datasets differ.

It is plain data, small enough to be kept by every run: digests per split and class, and the names of the images where
there are few. Contents are compared by file sizes and by parts of some files, because reading all would take as long as
an epoch. Names count from the class folder, so that a dataset may move.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from deit.data.probing import probes
from deit.data.sources import DataSet, Split

SCHEMA = 1
LISTED = 10_000  # images of a dataset whose names are kept; of more, digests alone
SIZED = 65_536  # files of a split whose sizes are looked up: some seconds on a network file system
READ = 512  # images of a split whose content is probed
UNREAD = -2  # in the place of a number that was not looked up
SHOWN = 3  # images that a message names
SHOWN_CLASSES = 5

Numbers = NDArray[np.int64]
Identity = dict[str, object]


def identity_of(dataset: DataSet) -> Identity:
    """Compute the identity of ``dataset`` as plain data."""
    parts = {"train": dataset.train, "val": dataset.val}
    if dataset.test_split == "test":
        parts["test"] = dataset.test
    parts["unused"] = _unused(dataset)
    is_listed = sum(map(len, parts.values())) <= LISTED
    names = {id(split.source): split.source.names() for split in parts.values()}  # a million take a moment
    splits = {
        name: _part(split, dataset.classes, names[id(split.source)], is_listed=is_listed)
        for name, split in parts.items()
    }
    return {"schema": SCHEMA, "classes": list(dataset.classes), "splits": splits}


def digest_of(identity: Identity) -> str:
    """Return one short text for an identity, the same for equal ones."""
    return _hex(json.dumps(identity, sort_keys=True).encode())


def _unused(dataset: DataSet) -> Split:
    """Training images in no split (``data.train_fraction``): they count in the positions that key the augmentation."""
    source = dataset.train.source
    is_used = np.zeros(len(source), dtype=bool)
    for split in (dataset.train, dataset.val, dataset.test):
        if split.source is source:
            is_used[split.indices] = True
    return Split(source, np.flatnonzero(~is_used).astype(np.int64))


def _part(split: Split, classes: Sequence[str], known: list[bytes] | None, *, is_listed: bool) -> dict[str, object]:
    """Count and digests of each class that has images in a split; known: the names of all images of its source."""
    source, indices, labels = split.source, split.indices, split.labels
    names = (
        [str(index).encode() for index in indices.tolist()] if known is None else [known[i] for i in indices.tolist()]
    )
    marks = _of_some(indices, labels, SIZED // len(classes), source.marks)
    checksums = _of_some(indices, labels, READ // len(classes), lambda some: probes(source, some).astype(np.int64))
    order = np.argsort(labels, kind="stable")
    found: dict[str, object] = {}
    for at in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        if not len(at):
            continue
        own = [names[position] for position in at]
        content = np.stack([marks[at], checksums[at]], axis=1)
        listed = {} if known is None or not is_listed else {"listed": _listed(own, content)}
        one = {"images": len(own), "names": _hex(b"\0".join(own)), "content": _hex(content.astype("<i8").tobytes())}
        found[classes[int(labels[at[0]])]] = one | listed
    return found


def _of_some(indices: Numbers, labels: Numbers, most: int, number: Callable[[Numbers], Numbers]) -> Numbers:
    """(n,) numbers of at most ``most`` images of each class, and one at least, evenly spread; `UNREAD` for the others.

    Which ones depends on the size of the class alone, so that it stays comparable when another class changes.
    """
    found = np.full(len(indices), UNREAD, dtype=np.int64)
    order = np.argsort(labels, kind="stable")
    _, first, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(first, sizes)
    at = order[place % -(-np.repeat(sizes, sizes) // max(1, most)) == 0]
    found[at] = number(indices[at])
    return found


def _listed(names: Sequence[bytes], content: Numbers) -> dict[str, str]:
    """Content of each image by its name."""
    readable = (name.decode("utf-8", "backslashreplace") for name in names)
    return {name: f"{mark:x} {checksum:x}" for name, (mark, checksum) in zip(readable, content.tolist(), strict=True)}


def _hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def differences(was: Identity, now: Identity) -> list[str]:
    """List what is different in the dataset ``now``, a line each; empty if nothing is."""
    if was == now:
        return []
    before, after = _images(was), _images(now)
    apart = _counts_apart(was, now) if before is None or after is None else _images_apart(before, after)
    return [*_classes_apart(was, now), *apart]


def _classes_apart(was: Identity, now: Identity) -> Iterator[str]:
    before, after = (cast(list[str], one["classes"]) for one in (was, now))
    for how, names in (
        ("added", [n for n in after if n not in before]),
        ("gone", [n for n in before if n not in after]),
    ):
        if names:
            yield f"{_counted(len(names), 'class', 'classes')} {how}: {_shortened(names, SHOWN_CLASSES)}"
    if set(before) == set(after) and before != after:
        yield f"the classes have another order: {_shortened(after, SHOWN_CLASSES)}"


Image = tuple[str, str, str]  # split, class, name
UNLISTED = f"{UNREAD:x}"


def _images(identity: Identity) -> dict[Image, str] | None:
    """Content of each image; None if the identity has no names."""
    found: dict[Image, str] = {}
    for split, classes in cast(Mapping[str, Mapping[str, Mapping[str, object]]], identity["splits"]).items():
        for name, facts in classes.items():
            if "listed" not in facts:
                return None
            listed = cast(Mapping[str, str], facts["listed"])
            found.update({(split, name, image): content for image, content in listed.items()})
    return found


def _images_apart(before: Mapping[Image, str], after: Mapping[Image, str]) -> Iterator[str]:
    gone = {image: content for image, content in before.items() if image not in after}
    new = {image: content for image, content in after.items() if image not in before}
    changed = [_path(image) for image, content in after.items() if _is_other(before.get(image, content), content)]
    moves = {
        "relabelled": _pairs(gone, new, lambda image, size: (image[2], size), lambda old, one: old[1] != one[1]),
        "in another split": _pairs(gone, new, lambda image, _: image[1:], lambda *_: True),
        "renamed": _pairs(gone, new, lambda image, size: (image[1], size), lambda *_: True),
    }
    for how, pairs in moves.items():
        told = sorted(f"{_path(old)} -> {_path(one, in_split=how == 'in another split')}" for old, one in pairs)
        if told:
            yield f"{_counted(len(told), 'image', 'images')} {how}: {_shortened(told, SHOWN)}"
    for how, images in (("added", [*map(_path, new)]), ("gone", [*map(_path, gone)]), ("with other content", changed)):
        if images:
            yield f"{_counted(len(images), 'image', 'images')} {how}: {_shortened(sorted(images), SHOWN)}"


def _is_other(was: str, now: str) -> bool:
    """Whether two contents differ in what was looked up of both."""
    return any(
        one != other for one, other in zip(was.split(), now.split(), strict=True) if UNLISTED not in (one, other)
    )


def _pairs(
    gone: dict[Image, str],
    new: dict[Image, str],
    key: Callable[[Image, str], object],
    is_pair: Callable[[Image, Image], bool],
) -> list[tuple[Image, Image]]:
    """Take from both the images that have the same key, as one image that is now another."""
    waiting: dict[object, list[Image]] = {}
    for image, content in new.items():
        waiting.setdefault(key(image, content.split()[0]), []).append(image)
    found: list[tuple[Image, Image]] = []
    for image, content in list(gone.items()):
        candidates = waiting.get(key(image, content.split()[0]), [])
        matching = (one for one in candidates if is_pair(image, one) and not _is_other(content, new[one]))
        if other := next(matching, None):
            candidates.remove(other)
            found.append((image, other))
            del gone[image], new[other]
    return found


def _counts_apart(was: Identity, now: Identity) -> list[str]:
    """The same, class by class, where names were not kept."""
    before, after = (cast(Mapping[str, Mapping[str, Mapping[str, object]]], one["splits"]) for one in (was, now))
    lines: list[str] = []
    for split in dict.fromkeys([*before, *after]):
        old, new = before.get(split, {}), after.get(split, {})
        for name in dict.fromkeys([*old, *new]):
            one, other = old.get(name, {"images": 0}), new.get(name, {"images": 0})
            if one["images"] != other["images"]:
                lines.append(f"class {name}, {split}: {one['images']} -> {other['images']} images")
            elif one["names"] != other["names"]:
                lines.append(f"class {name}, {split}: other images of the same number")
            elif one["content"] != other["content"] and was["classes"] == now["classes"]:
                lines.append(f"class {name}, {split}: images with other content")
    more = len(lines) - SHOWN_CLASSES
    return [*lines[:SHOWN_CLASSES], *([f"and {more} more"] if more > 0 else [])]


def _path(image: Image, *, in_split: bool = False) -> str:
    return f"{image[1]}/{image[2]}{f' ({image[0]})' if in_split else ''}"


def _counted(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _shortened(words: Sequence[str], most: int) -> str:
    left_out = len(words) - most
    return f"{', '.join(words[:most])}{f' and {left_out:,} more' if left_out > 0 else ''}"
