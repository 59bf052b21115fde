"""Runs the scripts of src/ in forks of one process that has imported what they import, which takes seconds each time.

Started by commands.py. A request arrives on the socket ``sys.argv[1]``: a line of JSON, and the three standard streams.
"""

import array
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import Any

HEAVY = (
    "torch", "torchvision", "lightning.pytorch", "timm", "torchmetrics", "sklearn.datasets", "cv2", "matplotlib.pyplot",
    "hydra", "deit.training.run", "deit.training.bank_actions", "deit.training.plan", "deit.doctor.work",
    "deit.assessment.work", "deit.prediction.work", "deit.launch.side_by_side", "deit.report.files",
)  # fmt: skip
STREAMS = 3  # standard input, output and error


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return a request and its standard streams."""
    numbers = array.array("i")
    text, ancillary, _, _ = connection.recvmsg(1 << 20, socket.CMSG_LEN(STREAMS * numbers.itemsize))
    for _, _, data in ancillary:
        numbers.frombytes(data)
    while not text.endswith(b"\n"):
        text += connection.recv(1 << 20)
    return json.loads(text), list(numbers)


def serve(path: str) -> dict[str, Any]:
    """Fork for each request; return it in the forked process, never in this one."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    selector = selectors.DefaultSelector()
    selector.register(server, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)  # closed when the tests end
    children: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                raise SystemExit(0)
            if key.fileobj is server:
                connection, _ = server.accept()
                request, streams = receive(connection)
                pid = os.fork()
                if pid == 0:
                    selector.close()
                    for other in (server, connection, *(pair[1] for pair in children.values())):
                        other.close()
                    become(request, streams)
                    return request
                for number in streams:
                    os.close(number)
                watch = os.pidfd_open(pid)
                children[watch] = pid, connection
                selector.register(watch, selectors.EVENT_READ)
                connection.sendall(f"{pid}\n".encode())
            else:
                watch = key.fd
                pid, connection = children.pop(watch)
                selector.unregister(watch)
                os.close(watch)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                connection.sendall(f"{status}\n".encode())
                connection.close()


def become(request: dict[str, Any], streams: list[int]) -> None:
    """Take on the streams, folder, environment and command line of ``request``."""
    if request["session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # Streams that are buffered as those of a new process would be.
    sys.stdin = sys.__stdin__ = os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", buffering=1 if os.isatty(1) else -1, closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[:] = request["command"]
    sys.orig_argv[:] = [sys.executable, *request["command"]]
    sys.path[0] = str(Path(request["command"][0]).parent)
    signal.set_wakeup_fd(-1)


if __name__ == "__main__":
    import importlib

    import torch

    for module in HEAVY:
        importlib.import_module(module)
    command = serve(sys.argv[1])["command"]
    threads = os.environ.get("OMP_NUM_THREADS", "")
    torch.set_num_threads(int(threads) if threads.isdecimal() else len(os.sched_getaffinity(0)))
    runpy.run_path(command[0], run_name="__main__")
