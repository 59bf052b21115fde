"""Standard output and error that outlast their reader: a closed pipe or terminal never ends a command."""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO)
"""Errors of a descriptor that nobody reads any more: a pipe after ``| head``, a terminal after it was closed."""
STANDARD = {"stdout": 1, "stderr": 2}


class LastingStream(io.RawIOBase):
    """File descriptor whose text goes to ``/dev/null`` once nobody reads it.

    The descriptor itself is replaced, so that it holds for libraries written in C and for child processes too.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer") -> int | None:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return None  # as io.RawIOBase wants it
        except OSError as error:
            if error.errno not in GONE:
                raise
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, self._descriptor)
            os.close(nowhere)
            return memoryview(data).nbytes


def keep_open() -> None:
    """Make the standard streams of this process last; call it before anything is printed.

    Descriptors that are closed are opened on ``/dev/null``: otherwise the next file, such as a checkpoint, would get
    their number and what a library prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
    if os.name != "posix":
        return
    for name, number in STANDARD.items():
        stream = getattr(sys, name)
        if stream is None:
            lasting = io.TextIOWrapper(io.BufferedWriter(LastingStream(number)), "utf-8", line_buffering=True)
        elif type(stream) is io.TextIOWrapper and stream.fileno() == number:
            lasting = _lasting(stream)
        else:  # a test or a notebook has put something else there
            continue
        setattr(sys, name, lasting)


def _lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """Return a stream like ``stream`` that lasts."""
    stream.flush()
    raw = LastingStream(stream.fileno())
    return io.TextIOWrapper(
        raw if isinstance(stream.buffer, io.RawIOBase) else io.BufferedWriter(raw),  # pyright: ignore[reportArgumentType] - python -u buffers nothing
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
