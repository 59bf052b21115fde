"""Says how far the reading of images is: a bar where a person watches, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

SAID_EVERY = 10.0  # seconds

Item = TypeVar("Item")


def watched(what: str, items: Iterable[Item], total: int, *, is_shown: bool = True) -> Iterator[Item]:
    """``items``, and on stderr how many of ``total`` there were; nothing unless ``is_shown``."""
    if not is_shown:
        yield from items
    elif sys.stderr.isatty():
        with Progress(console=Console(stderr=True), transient=True) as bar:
            yield from bar.track(items, total=total, description=what)
    else:
        yield from _lines(what, items, total)


def _lines(what: str, items: Iterable[Item], total: int) -> Iterator[Item]:
    began = last = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last > SAID_EVERY:
            last, left = now, (total - count) * (now - began) / count
            sys.stderr.write(f"{what}: {count:,} of {total:,}, {left:,.0f} s left\n")
