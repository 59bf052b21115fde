"""train.log on a disk that may be full."""

import logging
import sys
from io import TextIOWrapper
from pathlib import Path

from deit.config.drafts import append_to


class LogFile(logging.FileHandler):
    """A log that says once, and not with a traceback a line, that it cannot be written; it goes on when it can."""

    _has_said = False

    def _open(self) -> TextIOWrapper:
        return append_to(Path(self.baseFilename))

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._has_said:
            self._has_said = True
            sys.stderr.write(
                f"{self.baseFilename} cannot be written ({sys.exc_info()[1]}); what is said goes on here\n"
            )

    def close(self) -> None:
        try:
            super().close()
        except OSError:
            self.stream = None  # pyright: ignore[reportAttributeAccessIssue] - as logging itself leaves it
