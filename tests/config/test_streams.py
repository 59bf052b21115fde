"""A command outlasts the reader of what it prints."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, os, sys
from deit.config import streams
streams.keep_open()
streams.keep_open()
from rich.console import Console
logging.basicConfig(stream=sys.stdout, level="INFO")
for number in range(3000):
    logging.info("a line"); print("another", flush=True); os.write(1, b"a third\\n")
    sys.stderr.write("on stderr\\n")
Console().print("a table")
with open("result", "w") as file:
    file.write(str(file.fileno() > 2))
raise SystemExit(7)
"""


@pytest.mark.parametrize("unbuffered", ["", "-u"])
@pytest.mark.parametrize("ending", ["| head -1", "2>&1 | head -1", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_reader_that_ends_changes_nothing(tmp_path: Path, ending: str, unbuffered: str) -> None:
    command = shlex.join([sys.executable, *unbuffered.split(), "-c", PROGRAM])
    done = subprocess.run(
        ["bash", "-c", f"{command} {ending}; echo ${{PIPESTATUS[0]}} > status"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (tmp_path / "status").read_text().strip() == "7"
    assert (tmp_path / "result").read_text() == "True", "a file never gets the number of a closed stream"
    assert "Error" not in done.stderr


def test_what_is_printed_arrives_as_before(tmp_path: Path) -> None:
    program = (
        "import sys; from deit.config import streams; streams.keep_open(); print('é', end=''); sys.stdout.flush();"
        " sys.stderr.write('no newline')"
    )
    done = subprocess.run([sys.executable, "-X", "utf8", "-c", program], capture_output=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("é".encode(), b"no newline")
