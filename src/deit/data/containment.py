"""Files stay in the folder that was named: whoever made the folder may have meant to lead out of it."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from deit.config.errors import ConfigError


class Folders:
    """Some folders, by their letters: links are followed nowhere, for trees of images are often made of them."""

    def __init__(self, folders: Sequence[str | Path]) -> None:
        # pathlib keeps `..`, or follows links.
        self.tops = tuple(os.path.abspath(folder).rstrip(os.sep) + os.sep for folder in folders)  # noqa: PTH100

    def hold(self, path: str) -> bool:
        """Whether ``path``, counted from the working directory if it is relative, is below one of them."""
        return os.path.abspath(path).startswith(self.tops)  # noqa: PTH100


def refuse_paths_outside(folder: Path, paths: Iterable[str], listed_in: str) -> None:
    """Raise ConfigError if a list of images, which is a file of the data set, leads out of ``folder``."""
    inside = Folders([folder])
    for path in paths:
        if not inside.hold(path):
            raise ConfigError(f"{listed_in} names the image {path}, which is outside of {folder}; fetch it anew")


def refuse_links_out(folder: Path, path: Path) -> None:
    """Raise ConfigError if ``path`` below ``folder`` leads out of it by a link: what is written would land there."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{path} leads to {path.resolve()}, outside of its folder; put a copy there, no link")
