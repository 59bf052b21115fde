"""File names that every file system takes, however long or strange what they are made from is."""

import hashlib
import os
import re
from pathlib import Path

LONGEST = 240
"""Bytes of a name: file systems take 255, and a draft's name has a few more."""
_DIGITS = 8


def shortened(stem: str, suffix: str = "") -> str:
    """Return ``stem`` and ``suffix`` as one file name of at most `LONGEST` bytes.

    What is cut off is replaced by the beginning of a hash of ``stem``, so that different stems stay different.
    """
    if len(os.fsencode(stem + suffix)) <= LONGEST:
        return stem + suffix
    room = LONGEST - len(os.fsencode(suffix)) - _DIGITS - 1
    kept = os.fsencode(stem)[:room].decode("utf-8", "ignore")  # a letter that is cut in its middle goes altogether
    return f"{kept}-{hashlib.sha256(os.fsencode(stem)).hexdigest()[:_DIGITS]}{suffix}"


def slug(text: str) -> str:
    """Return ``text`` as a word that needs no quotes in a shell: letters, digits and ``.,=+-`` stay."""
    return re.sub(r"[^\w.,=+-]+", "-", text).strip("-.") or "unnamed"


def vacant(path: Path) -> Path:
    """Return ``path``, or with the first number that makes it a name that is not there: out, out-2, out-3."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found
