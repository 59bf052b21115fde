"""End of a run that is refused after Hydra has started it: no line of Hydra's, and nothing left."""

from contextlib import suppress
from pathlib import Path

OF_A_REFUSAL = {"train.log", "run.json", "config.yaml", "data.json", ".lock"}
"""Files in the folder of a run that was refused once its data or weights were opened."""


class JobFailed(BaseException):
    """Carries the error of a run past Hydra, which would print a line of its own first."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def forget(folder: Path, there: Path) -> None:
    """Remove what a run that was refused has written, if nothing else lies in its folder.

    there: The part of the path that existed before.
    """
    checkpoints = folder / "checkpoints"
    with suppress(OSError):  # a folder that is not empty stays
        if checkpoints.is_dir():
            checkpoints.rmdir()
        if {path.name for path in folder.iterdir()} <= OF_A_REFUSAL:
            for path in folder.iterdir():
                path.unlink()
            for path in (folder, *folder.parents):
                if path == there:
                    break
                path.rmdir()
