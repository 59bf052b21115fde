"""Single values: named choices, and checks that say what is possible and what to type."""

from collections.abc import Iterator
from enum import Enum

MOST = 10**9  # of anything that is counted: the product of two still fits into 64 bits
MOST_SEED = 2**32 - 1  # the largest that NumPy takes; Lightning puts 0 in the place of others


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
        interval = f"{'(' if open_low else '['}{shown(low)}, {shown(high)}{')' if open_high else ']'}"
        yield f"{key}={shown(value)} is out of range; possible: {interval}; pass {key}=<number in {interval}>"


def not_positive(**counts: float) -> Iterator[str]:
    """Yield a problem for each keyword, a config key with ``__`` for the dot, that is not above zero, or too large."""
    for name, value in counts.items():
        key = name.replace("__", ".")
        if not value > 0:
            yield f"{key}={shown(value)} must be above zero; pass {key}=<a positive number>"
        elif value > MOST:
            yield f"{key}={shown(value)} is too large; possible: up to {MOST:,}; pass {key}=<a smaller number>"


def shown(value: float) -> str:
    """A whole number with all its digits, another one as it would be typed."""
    return f"{value}" if isinstance(value, int) else f"{value:g}"
