"""Processes of src/*.py for tests, without the seconds that each would need to import PyTorch and Lightning.

`run` and `start` return what `subprocess.run` and `subprocess.Popen` do, as far as tests use it.
"""

import array
import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

SRC = Path(__file__).parents[1] / "src"
FORKS = hasattr(os, "pidfd_open") and hasattr(socket, "send_fds")
STARTED_WITH = dict(os.environ)
READ_AT_START = ("PYTHON", "OMP_", "MKL_", "LD_", "HF_", "NUMBA_", "COLUMNS", "TERM")
"""Prefixes of variables that an interpreter or a library reads once: with other values a new interpreter is started."""


class Process:
    """A script in a process of its own: a `subprocess.Popen` whose interpreter is forked and not started."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[Any] = subprocess.DEVNULL,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        start_new_session: bool = False,
    ) -> None:
        self.args, self.returncode = list(command), None
        self.stdout: IO[bytes] | None = None
        self.stderr: IO[bytes] | None = None
        opened: list[int] = []

        def stream(given: int | IO[Any] | None, number: int, name: str) -> int:
            if given == subprocess.DEVNULL:
                opened.append(os.open(os.devnull, os.O_RDWR))
                return opened[-1]
            if given == subprocess.PIPE:
                reading, writing = os.pipe()
                setattr(self, name, os.fdopen(reading, "rb"))
                opened.append(writing)
                return writing
            if given is None:
                return number
            return given if isinstance(given, int) else given.fileno()

        first = stream(stdin, 0, "")
        second = stream(stdout, 1, "stdout")
        streams = [first, second, second if stderr == subprocess.STDOUT else stream(stderr, 2, "stderr")]
        request = {
            "command": [str(word) for word in command],
            "cwd": str(cwd or Path.cwd()),
            "environment": dict(os.environ if env is None else env),
            "session": start_new_session,
        }
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(_server())
        numbers = array.array("i", streams)
        text = f"{json.dumps(request)}\n".encode()
        sent = self._connection.sendmsg([text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
        self._connection.sendall(text[sent:])
        for number in opened:
            os.close(number)
        self._answers = self._connection.makefile("r")
        self.pid = int(self._answers.readline())

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()

    def poll(self) -> int | None:
        """Return the exit status, or None while the process runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises `subprocess.TimeoutExpired` as `subprocess.Popen` does."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended a moment ago
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read both streams to their end and wait for that of the process."""
        texts = ["", ""]

        def read(place: int, stream: IO[bytes]) -> None:
            texts[place] = stream.read().decode(errors="replace").replace("\r\n", "\n")

        readers = [
            threading.Thread(target=read, args=pair, daemon=True)
            for pair in enumerate((self.stdout, self.stderr))
            if pair[1] is not None
        ]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join(timeout)
        return texts[0], texts[1]


def start(script: str, *arguments: str, **options: Any) -> "Process":  # noqa: ANN401 - options are handed on
    """Start ``src/<script>``; ``options`` are those of `Process`, which `subprocess.Popen` has too."""
    command = [str(SRC / script), *arguments]
    if FORKS and _read_at_start(options.get("env") or os.environ) == _read_at_start(STARTED_WITH):
        return Process(command, **options)
    started = subprocess.Popen([sys.executable, *command], text=True, **{"stdin": subprocess.DEVNULL, **options})
    return started  # pyright: ignore[reportReturnType] - has all that tests use


def run(
    script: str,
    *arguments: str,
    timeout: float = 240,
    check: bool = False,
    **options: Any,  # noqa: ANN401 - handed on
) -> subprocess.CompletedProcess[str]:
    """Run ``src/<script>`` to its end, and return what it wrote as text."""
    process = start(script, *arguments, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})
    try:
        said, told = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    done = subprocess.CompletedProcess([script, *arguments], process.wait(), said, told)
    if check and done.returncode:
        raise AssertionError(f"{script} ended with {done.returncode}: {said}{told}")
    return done


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_START)}


@functools.cache
def _server() -> str:
    """Return the socket of a process that waits for requests as long as this one lives."""
    folder = tempfile.TemporaryDirectory(prefix="deit_tests_")
    path = f"{folder.name}/socket"
    paths = [str(SRC), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**STARTED_WITH, "PYTHONPATH": os.pathsep.join(paths)}
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("command_server.py")), path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder.name,
        env=environment,
        start_new_session=True,  # an interrupt of the tests reaches their own processes
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n", "the process that runs the scripts of tests did not start"

    def close() -> None:
        assert server.stdin is not None
        server.stdin.close()
        server.wait(10)
        folder.cleanup()

    atexit.register(close)
    return path
