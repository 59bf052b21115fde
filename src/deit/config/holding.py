"""Folders in which one process works at a time; who comes second is refused, and does not wait."""

from pathlib import Path
from typing import TextIO

from deit.config.drafts import append_to
from deit.config.errors import ConfigError


def held(lock: Path, *, what: str, another: str) -> TextIO:
    """Take the lock file ``lock`` until the file that is returned is closed, or the process ends, however it ends.

    what: what it is for, and ``another``: what to pass to work elsewhere, for the message to who is refused.

    Raises:
        ConfigError: if another process has it.
    """
    import fcntl  # Windows has none, and needs none to answer --help

    lock.parent.mkdir(parents=True, exist_ok=True)
    file = _opened(lock)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock's, it is not kept by forked data workers
    except (BlockingIOError, PermissionError):
        file.close()
        raise ConfigError(
            f"another process is at work {what}; wait for it or end it, or pass another {another}"
        ) from None
    except OSError:
        pass  # a file system without locks
    return file


def _opened(lock: Path) -> TextIO:
    try:
        return append_to(lock)
    except OSError:
        if lock.is_symlink():
            raise ConfigError(f"{lock} must be a file of this program, got a link. Remove it.") from None
        raise
