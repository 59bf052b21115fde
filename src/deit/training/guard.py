"""Loggers that may fail without ending a training."""

import functools
import logging
import threading
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
    threading.excepthook = _unless_told_later

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
                why = error.__cause__ or error  # Lightning calls every fault of TensorBoard's a wrong value
                log.warning(
                    f"{type(logger).__name__} stopped: {type(why).__name__}: {why}; training goes on, and"
                    " metrics.csv has everything"
                )

        return call

    for name in GUARDED:
        if hasattr(logger, name):
            setattr(logger, name, forgiving(getattr(logger, name)))
    return logger


def _unless_told_later(failed: threading.ExceptHookArgs) -> None:
    """Show why a thread ended, but for TensorBoard's, which raises it again where it is next asked to write."""
    if not type(failed.thread).__module__.startswith("tensorboard."):
        threading.__excepthook__(failed)
