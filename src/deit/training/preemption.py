"""Signals that end a run: what arrives while it trains is answered at the end of a step, with a checkpoint."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

NAMES = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2")
SIGNALS = tuple(signal.Signals[name] for name in NAMES if hasattr(signal, name))  # Windows has the first two
"""Signals that end a run: a scheduler's, the keyboard's, a closed terminal's, and SLURM's before a time limit."""

TEMPORARY = 75  # EX_TEMPFAIL of sysexits.h: not done, to be started again
INTERRUPTED = 128 + signal.SIGINT  # as shells tell that a person pressed Ctrl-C


class Preempted(SystemExit):
    """A signal has ended the run; whatever it had to keep is on disk, and the same command goes on.

    No mistake and no fault: it passes what catches exceptions, ends a sweep, and becomes the exit status of the
    process: 75, or 130 after Ctrl-C.

    Args:
        number: The signal.
        speaks: Whether this process's exit status is the run's. Other ranks end with 0, for Lightning and schedulers
            would take anything else of theirs as a crash and kill the first before it has ended by itself.
    """

    def __init__(self, number: int, *, speaks: bool = True) -> None:
        super().__init__(0 if not speaks else INTERRUPTED if number == signal.SIGINT else TEMPORARY)
        self.number = number

    def __str__(self) -> str:
        return signal.Signals(self.number).name


class Signals:
    """Notes what arrives. Who can save sets ``deferred`` and asks for ``received``; else the run ends at once."""

    def __init__(self) -> None:
        self.received = 0
        self.deferred = False

    def install(self) -> None:
        """Answer all of `SIGNALS`; again after others, such as Lightning, have put their own answers there."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if not is_ignored(number):
                    signal.signal(number, self._note)

    def refuse_further(self) -> None:
        """Stop deferring; end the run if a signal has arrived meanwhile.

        Raises:
            Preempted: if so.
        """
        self.deferred = False
        if self.received:
            raise Preempted(self.received)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)  # a second one ends the process, whatever it is doing
        if self.received:
            return  # the run is ending already, and must not be disturbed in writing that down
        self.received = number
        if not self.deferred:
            raise Preempted(number)
        name = signal.Signals(number).name
        more = "; again to end at once" if number == signal.SIGINT else ""
        # Not through logging or print, whose buffers the interrupted code may be in the middle of.
        with suppress(OSError):  # the terminal may be gone
            os.write(2, f"\n{name}: a checkpoint follows at the end of this step{more}\n".encode())


def is_ignored(number: int) -> bool:
    """Return True for SIGHUP under nohup, which lets a run outlast the terminal."""
    return signal.Signals(number).name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN


@contextmanager
def watched() -> Iterator[Signals]:
    """Answer `SIGNALS` while the block runs, and leave what answered them before."""
    signals = Signals()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signals.install()
    try:
        yield signals
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
