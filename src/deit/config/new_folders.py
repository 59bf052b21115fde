"""New folders of runs and sweeps, each made by one process alone, however many start in the same second."""

import itertools
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf, open_dict, read_write


def claim(folder: Path) -> Path:
    """Make a new folder and return it: ``folder``, or with ``_2``, ``_3``, … after its name if that is taken.

    Making a folder is atomic, so that each of several processes gets another one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        own = folder if number == 1 else folder.with_name(f"{folder.name}_{number}")
        try:
            own.mkdir()
        except FileExistsError:
            continue
        return own
    raise AssertionError("numbers do not end")


def claim_for(config: DictConfig, kind: str) -> Path | None:
    """Make the folder of a new run or sweep, if its name is that of the second in which it started.

    A folder with another name may be that of a run or sweep to resume, and stays as it is.

    Args:
        config: Composed by Hydra, which reads the folder from it later.
        kind: run or sweep.

    Returns:
        The folder; None if nothing was made.
    """
    settings, key = config.hydra[kind], f"hydra.{kind}.dir"
    template = cast(dict[str, str], OmegaConf.to_container(settings, resolve=False))["dir"]
    is_typed = any(override.startswith(f"{key}=") for override in config.hydra.overrides.hydra)
    if is_typed or "${now:" not in template or "%S" not in template:
        return None
    folder = claim(Path(settings.dir))
    with read_write(config), open_dict(config):
        settings.dir = str(folder)
    return folder
