"""A folder is one process's at a time, and anybody's as soon as that one is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deit.config.errors import ConfigError
from deit.config.holding import held

OWNER = """
import os, sys, time
from pathlib import Path
from deit.config.holding import held
kept = held(Path(sys.argv[1]), what="here", another="folder")
child = os.fork()
print(child, flush=True)
time.sleep(60)
"""


def test_a_lock_dies_with_its_owner_and_not_with_the_children_it_left(tmp_path: Path) -> None:
    lock = tmp_path / "new/.lock"
    with subprocess.Popen([sys.executable, "-c", OWNER, str(lock)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = max(int(owner.stdout.readline()), int(owner.stdout.readline()))  # of the two one says 0
        try:
            with pytest.raises(ConfigError, match=r"another process is at work on it; wait .* pass another where"):
                held(lock, what="on it", another="where")
            owner.kill()
            owner.wait()
            os.kill(child, 0)  # still there
            held(lock, what="on it", another="where").close()
        finally:
            os.kill(child, 9)
