"""Revision of the code, which every run records."""

import os
import shutil
import subprocess
from pathlib import Path

# Found once, when the program starts: a relative entry of PATH would find a program in the folder where one types.
GIT = shutil.which("git", path=os.pathsep.join(filter(os.path.isabs, os.environ.get("PATH", "").split(os.pathsep))))


def describe() -> str:
    """Return what git calls the revision of this code, with ``-dirty`` if it was changed; ``unknown`` without git."""
    if GIT is None:
        return "unknown"
    # A configuration of the checkout may name a program that watches its files; none is started.
    command = [GIT, "-c", "core.fsmonitor=false", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
