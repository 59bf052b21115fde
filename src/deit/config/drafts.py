"""Files that are opened without following links, and drafts that replace a file as a whole.

A link that somebody planted in a folder would lead what is written to its target. Names of drafts cannot be predicted.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

from deit.config.errors import ConfigError

SUFFIX = ".draft"
ABANDONED_S = 24 * 3600.0
"""Age from which a draft in a shared folder is one of a killed process: nothing takes a day to write."""
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)  # Windows has neither


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """Yield a new, empty file beside ``path``, which takes the place of ``path`` if the block ends well.

    It is synced to disk first, so that a crash leaves the old file or the new one. If ``path`` is a link, the link is
    replaced, not its target.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}{SUFFIX}")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o666))
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_bytes(path: Path, content: bytes | memoryview) -> None:
    """Replace ``path`` by ``content``."""
    with draft(path) as temporary:
        temporary.write_bytes(content)


def replace_text(path: Path, content: str) -> None:
    """Replace ``path`` by ``content`` in UTF-8."""
    replace_bytes(path, content.encode("utf-8"))


def append_to(path: Path, encoding: str = "utf-8") -> TextIOWrapper:
    """Open ``path``, made if need be, to append to it.

    Raises:
        OSError: With errno ELOOP if it is a link.
    """
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _NO_FOLLOW, 0o666), "a", encoding=encoding)


def remove_abandoned(folder: Path, *, older_s: float = ABANDONED_S) -> None:
    """Delete the drafts that killed processes left in ``folder``; older_s: 0 if no other process writes there."""
    for path in folder.glob(f".*{SUFFIX}"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime >= older_s:
                path.unlink()


def refuse_link(path: Path) -> None:
    """Raise ConfigError if ``path`` is a link out of its folder: what is written would land there."""
    if path.is_symlink() and not path.resolve().is_relative_to(path.parent.resolve()):
        raise ConfigError(f"{path} must not be a link out of its folder, got one to {path.resolve()}. Remove the link.")
