"""Description inside each checkpoint: its configuration, classes and data, so that the file can be used alone."""

from typing import cast

from deit.config import compose
from deit.config.schema import Config

DESCRIPTION, CONFIG, CLASSES, DATA = "description", "config", "classes", "data"
"""Keys of a checkpoint."""


def describe(config: Config, classes: tuple[str, ...], data: str | None = None) -> dict[str, object]:
    """Describe a run as plain data, which is read without executing anything; data: digest of the data's identity."""
    description: dict[str, object] = {CONFIG: cast(dict, compose.plain(config)), CLASSES: list(classes)}
    return description if data is None else description | {DATA: data}
