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
    """The possible word that ``word`` was most likely meant to be, or is the beginning of; None if nothing is close."""
    simple = {one.lower().replace("-", "_"): one for one in possible}
    given = word.lower().replace("-", "_")
    longer = [one for one in simple if given and one.startswith(given)]
    matches = longer or difflib.get_close_matches(given, list(simple), n=1, cutoff=0.6)
    return simple[min(matches, key=len)] if matches else None
