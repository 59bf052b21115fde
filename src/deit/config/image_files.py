"""Image files below a folder: the one walk that every reader of folders uses.

Hidden folders and those that operating systems and storage boxes make are passed over at any depth. Links are
followed, and each real folder is walked once: a link that leads back up ends there.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deit.config.errors import ConfigError, visible

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
SYSTEM_FOLDERS = frozenset(
    {
        *("__MACOSX", "Thumbs", "Thumbs.db", "lost+found", "System Volume Information", "__pycache__"),
        *("@eaDir", "@Recycle", "@Recently-Snapshot", "@tmp", "@__thumb", "#recycle", "#snapshot", "$RECYCLE.BIN"),
    }
)
"""Folders of macOS, Windows, Synology and QNAP: copies, thumbnails and waste, never a person's own images."""

SHOWN = 5  # folders in a message

Identity = tuple[int, int]
"""Device and inode of a folder: equal for one that is reached by two names."""


@dataclass
class _Folder:
    """The entries of one real folder."""

    path: str
    place: tuple[str, ...]
    """Names that lead to it from where the walk began."""
    images: list[str]
    others: list[str]
    """Files that are not taken for images, by name."""


@dataclass
class _Walk:
    """Folders that were met, and those that links lead to and that are walked last."""

    seen: set[Identity]
    links: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    found: list[_Folder] = field(default_factory=list)

    def enter(self, path: str, place: tuple[str, ...]) -> None:
        """Collect the files of ``path`` and of the real folders below it."""
        waiting = [(path, place)]
        while waiting:
            path, place = waiting.pop()
            images: list[str] = []
            others: list[str] = []
            self.found.append(_Folder(path, place, images, others))
            for entry in _entries(path):
                name = entry.name
                if not _is_folder(entry):
                    if not name.startswith("."):
                        (images if is_image(name) else others).append(name)
                elif is_passed_over(name):
                    continue
                elif entry.is_symlink():
                    self.links.append(((*place, name), entry.path))
                elif self.is_new(entry.path):
                    waiting.append((entry.path, (*place, name)))

    def follow_links(self) -> None:
        """Enter the folders that links lead to, unless they were met before."""
        while self.links:
            self.links.sort()
            place, path = self.links.pop(0)
            if self.is_new(path):
                self.enter(path, place)

    def is_new(self, path: str) -> bool:
        """Return True at the first visit of a folder."""
        met = identity(path)
        if met in self.seen:
            return False
        self.seen.add(met)
        return True


def is_passed_over(name: str) -> bool:
    """Return True for names of folders that hold no images of a person's own."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def is_image(name: str) -> bool:
    """Return True if the suffix of a file name is that of an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - a million names


def identity(path: str | Path) -> Identity:
    """Return device and inode of the folder that ``path`` leads to."""
    state = os.stat(path)  # noqa: PTH116 - as above
    return state.st_dev, state.st_ino


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in ``folder`` in the order of their names, without those that are passed over."""
    if not folder.is_dir():
        return []
    return [folder / one.name for one in _entries(str(folder)) if _is_folder(one) and not is_passed_over(one.name)]


def images_in(folder: Path) -> list[Path]:
    """Return the image files that lie directly in ``folder``."""
    files = [entry.name for entry in _entries(str(folder)) if not _is_folder(entry)]
    return [folder / name for name in files if is_image(name) and not name.startswith(".")]


def images_below(folder: Path) -> Iterator[Path]:
    """Yield image files at any depth below ``folder``, in an order that does not depend on the file system."""
    yield from map(Path, images_of([folder])[0])


def images_of(folders: Sequence[Path]) -> list[list[str]]:
    """Return the image files below each of ``folders``, which are of one set: no real folder is walked for two.

    What lies in a folder by itself comes before what a link in another leads to.
    """
    return [
        [
            f"{one.path}{os.sep}{name}" for one in walk.found for name in one.images
        ]  # pathlib's way takes ten times as long
        for walk in _walks(folders)
    ]


def other_files(folder: Path) -> Counter[str]:
    """Count files below ``folder`` that are not taken for images, by suffix."""
    names = [name for one in _walks([folder])[0].found for name in one.others]
    return Counter(Path(name).suffix.lower() or "without a suffix" for name in names)


def holds_images(folder: Path) -> bool:
    """Return True if there is an image file at any depth below ``folder``; the search ends at the first."""
    waiting, seen = [str(folder)], {identity(folder), *_above(folder)}
    while waiting:
        with _listed(waiting.pop()) as entries:
            for entry in entries:
                if not _is_folder(entry):
                    if is_image(entry.name) and not entry.name.startswith("."):
                        return True
                elif not is_passed_over(entry.name) and (met := identity(entry.path)) not in seen:
                    seen.add(met)
                    waiting.append(entry.path)
    return False


def left_out(root: Path, tops: Sequence[Path]) -> list[str]:
    """Describe the images below ``root`` that are of no class: beside the class folders, or in what is passed over.

    tops: The folders that hold class folders.
    """
    found = [
        f"{len(images):,} in {visible(top)} itself"
        for top in {root: 0, **dict.fromkeys(tops)}
        if (images := images_in(top))
    ]
    for parent, names, _ in os.walk(root):
        skipped = sorted(name for name in names if is_passed_over(name))
        found += [f"{visible(Path(parent, name))}" for name in skipped if holds_images(Path(parent, name))]
        names[:] = sorted(set(names) - set(skipped))
    more = f"and {len(found) - SHOWN} more folders"
    return found if len(found) <= SHOWN else [*found[:SHOWN], more]


def _walks(folders: Sequence[Path]) -> list[_Walk]:
    """Walk ``folders``: first what lies in each, then where links lead."""
    present = [folder for folder in folders if folder.is_dir()]
    seen = {identity(folder) for folder in present}
    for folder in present:
        seen |= _above(folder)
    walks = [_Walk(seen) for _ in folders]
    for folder, walk in zip(folders, walks, strict=True):
        if folder.is_dir():
            walk.enter(str(folder), ())
    for walk in walks:
        walk.follow_links()
        walk.found.sort(key=lambda one: one.place)
    return walks


def _above(folder: Path) -> set[Identity]:
    """Return the identities of all folders that hold ``folder``."""
    return {identity(parent) for parent in (*folder.absolute().parents, *folder.resolve().parents)}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return the entries of ``folder`` in the order of their names; raises as `_listed`."""
    with _listed(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


@contextmanager
def _listed(folder: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """Open ``folder`` to be listed.

    Raises:
        ConfigError: It may not be listed: passing over it in silence would leave out its images.
    """
    try:
        with os.scandir(folder) as entries:
            yield entries
    except OSError as error:
        raise ConfigError(
            f"{visible(folder)} must be a folder that can be listed, got: {error.strerror}. Change its permissions, or"
            " move it out of the data."
        ) from error
