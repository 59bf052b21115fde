"""Loggers that may fail without ending a training."""

import functools
import logging
from collections.abc import Callable
from typing import TypeVar

from lightning.pytorch.loggers import Logger

log = logging.getLogger(__name__)

GUARDED = ("log_hyperparams", "log_metrics", "log_graph", "after_save_checkpoint", "save", "finalize")
AnyLogger = TypeVar("AnyLogger", bound=Logger)


def guarded(logger: AnyLogger) -> AnyLogger:
    """``logger`` itself, whose first failure is said, and after which it is not asked again.

    A broken writer stays broken, and a server that does not answer would be waited for at every step. metrics.csv is
    not to be guarded: it is what a run is reported from.
    """
    has_failed = False

    def forgiving(method: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(method)
        def call(*args: object, **kwargs: object) -> None:
            nonlocal has_failed
            if has_failed:
                return
            try:
                method(*args, **kwargs)
            except Exception as error:  # whatever a client raises
                has_failed = True
                log.warning(
                    f"{type(logger).__name__} stopped: {type(error).__name__}: {error}; training goes on, and"
                    " metrics.csv has everything"
                )

        return call

    for name in GUARDED:
        if hasattr(logger, name):
            setattr(logger, name, forgiving(getattr(logger, name)))
    return logger
