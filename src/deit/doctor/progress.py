"""Says on stderr how far long work is."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

SAID_EVERY = 10.0  # seconds

Item = TypeVar("Item")


def said(what: str, items: Iterable[Item], total: int) -> Iterator[Item]:
    """``items``, and every now and then how many of ``total`` there were."""
    began = last = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last > SAID_EVERY:
            last, left = now, (total - count) * (now - began) / count
            sys.stderr.write(f"{what}: {count:,} of {total:,}, {left:,.0f} s left\n")
