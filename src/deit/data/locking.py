"""Work that only one of several processes does, while the others wait for it."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deit.config.drafts import append_to
from deit.config.errors import written

log = logging.getLogger(__name__)


@contextmanager
def only_one(lock: Path, what: str) -> Iterator[None]:
    """Hold the lock file ``lock``; it is let go by the end of the process too, however it ends.

    what: what another process is doing while it holds it, for the message to who waits.
    """
    with written(lock, "nothing was begun"):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = append_to(lock)
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info(f"waiting for another run that is {what}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
