"""Single values: named choices, and checks that say what is possible and what to type."""

from collections.abc import Iterator
from enum import Enum


class Choice(Enum):
    """A named choice that reads the same in YAML, on the command line and inside a run's name."""

    def __str__(self) -> str:
        return self.value


def outside(
    key: str, value: float, low: float, high: float, *, open_low: bool = False, open_high: bool = False
) -> Iterator[str]:
    """Yield a problem if ``value`` of config key ``key`` is not between ``low`` and ``high``."""
    above = value > low if open_low else value >= low
    below = value < high if open_high else value <= high
    if not (above and below):
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"
        yield f"{key}={value:g} is out of range; possible: {interval}; pass {key}=<number in {interval}>"


def not_positive(**counts: float) -> Iterator[str]:
    """Yield a problem for each keyword, a config key with ``__`` for the dot, that is not above zero."""
    for name, value in counts.items():
        key = name.replace("__", ".")
        if value <= 0:
            yield f"{key}={value:g} must be above zero; pass {key}=<a positive number>"
