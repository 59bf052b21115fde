"""What the user did wrong, or the disk, told once and without a traceback."""

import difflib
import errno
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)


class ConfigError(Exception):
    """A mistake of the user's: the message is all that is printed, the exit status is 2.

    A good message says what is wrong, what was given, what is possible, and what to type.
    """

    @classmethod
    def of(cls, problems: Sequence[str]) -> "ConfigError":
        """One error from all problems found, numbered where there are several."""
        if len(problems) == 1:
            return cls(problems[0])
        lines = [f"{len(problems)} problems:", *(f"  {i}. {text}" for i, text in enumerate(problems, 1))]
        return cls("\n".join(lines))


def invalid(key: str, constraint: str, got: object, advice: str) -> str:
    """Return ``<key> must be <constraint>, got <value>. <What to type.>``, the shape of a message about one setting."""
    return f"{key} must be {constraint}, got {got}. {advice}."


class RunError(Exception):
    """A run that cannot go on though nothing was typed wrongly: printed without a traceback, exit status 1."""


@contextmanager
def written(path: Path, kept: str) -> Iterator[None]:
    """Turn a fault of the disk into a `RunError` that names the file; kept: what it leaves as it was."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        room = f"make room for {path.parent} and start again" if error.errno in FULL else "start again once it can be"
        raise RunError(f"{path} cannot be written ({why}); {kept}; {room}: the same command goes on") from error


def nearest(word: str, possible: Iterable[str]) -> str | None:
    """The possible word that ``word`` was most likely meant to be, or is the beginning of; None if nothing is close."""
    simple = {one.lower().replace("-", "_"): one for one in possible}
    given = word.lower().replace("-", "_")
    longer = [one for one in simple if given and one.startswith(given)]
    matches = longer or difflib.get_close_matches(given, list(simple), n=1, cutoff=0.6)
    return simple[min(matches, key=len)] if matches else None


def printable(value: object) -> str:
    """``value`` as a text without what commands a terminal or cannot be encoded: it may come from anyone's file."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in str(value))


def visible(name: object) -> str:
    """Return ``name`` on one line of printable letters: bytes that are no text, line ends, control letters and marks
    that turn the direction of writing appear as escapes, such as ``\\xe9`` or ``\\u202e``.
    """
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in str(name))


def in_shell(path: object) -> str:
    """Return ``path`` as it is typed in a shell."""
    return shlex.quote(visible(path))


def _escape(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # a byte of a file name that is no UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()
