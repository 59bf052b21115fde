"""What the user did wrong, told once and without a traceback."""

import difflib
from collections.abc import Iterable, Sequence


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


class RunError(Exception):
    """A run that cannot go on though nothing was typed wrongly: printed without a traceback, exit status 1."""


def nearest(word: str, possible: Iterable[str]) -> str | None:
    """The possible word that ``word`` was most likely meant to be; None if nothing is close."""
    simple = {_simple(one): one for one in possible}
    matches = difflib.get_close_matches(_simple(word), list(simple), n=1, cutoff=0.6)
    return simple[matches[0]] if matches else None


def _simple(word: str) -> str:
    return word.lower().replace("-", "_")
