"""What a checkpoint of ours says of itself, so that a file alone can be used: its configuration and its classes."""

from typing import cast

from deit.config import compose
from deit.config.schema import Config

DESCRIPTION, CONFIG, CLASSES = "description", "config", "classes"
"""Keys of a checkpoint."""


def describe(config: Config, classes: tuple[str, ...]) -> dict[str, object]:
    """Plain data, which is read without executing anything."""
    return {CONFIG: cast(dict, compose.plain(config)), CLASSES: list(classes)}
