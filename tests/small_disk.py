"""A disk that is soon full, for tests of what happens then."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest


class SmallDisk:
    """A file system of its own, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, left: int = 0) -> None:
        """Take all the room but ``left`` bytes, to the page."""
        with suppress(OSError), self.filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        with self.filler.open("r+b") as file:
            file.truncate(max(0, self.filler.stat().st_size - left))

    def make_room(self) -> None:
        self.filler.unlink()

    @property
    def filler(self) -> Path:
        return self.folder / "filler"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], SmallDisk]]:
    """Make a disk of so many kilobytes; skips the test where this user may not mount one."""
    mounted: list[Path] = []

    def make(kilobytes: int) -> SmallDisk:
        folder = tmp_path / "disk"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"a small disk cannot be mounted: {getattr(error, 'stderr', '') or error}")
        mounted.append(folder)
        return SmallDisk(folder)

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
