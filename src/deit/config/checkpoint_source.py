"""What a trained network may be read from, as far as that shows without torch."""

import os
from collections.abc import Iterator
from pathlib import Path

from deit.config.schema import PUBLISHED

EXPORTED = "config.json"
"""Beside the weights of a folder in timm's layout: what they are."""
BEST = Path("checkpoints/best.ckpt")
"""Of a run's folder, what is read."""
POSSIBLE = (
    "possible: a run's folder, a .ckpt, .pth or .safetensors file, an exported folder, or timm:<name>, such as"
    " timm:deit_tiny_patch16_224.fb_in1k"
)
_SHOWN = 300  # characters of a text that no path can be
_SUFFIXES = (".ckpt", ".pth", ".pt", ".bin", ".safetensors")


def snapshot(folder: Path) -> Path:
    """Return the snapshot of the Hub's cache that ``folder``, such as models--facebook--deit-base, refers to as main,
    or its only one; any other folder is returned as it is."""
    snapshots = folder / "snapshots"
    if not snapshots.is_dir():
        return folder
    main = folder / "refs" / "main"
    named = snapshots / Path(main.read_text(encoding="utf-8").strip()).name if main.is_file() else snapshots
    if named != snapshots and named.is_dir():
        return named
    found = [one for one in snapshots.iterdir() if one.is_dir()]
    return found[0] if len(found) == 1 else folder


def problems(source: str, key: str = "checkpoint") -> Iterator[str]:
    """Yield why ``source``, which the user set ``key`` to, can be read from in no case."""
    path = Path(source)
    if source.startswith(PUBLISHED):
        return
    if not os.path.exists(source):  # noqa: PTH110 - pathlib raises for a text that is too long for a path
        if len(path.parts) > 1 or path.suffix in _SUFFIXES:  # else it may be a name of timm's
            yield nothing_there(source, key)
    elif path.is_dir() and not any((snapshot(path) / name).is_file() for name in (EXPORTED, BEST)):
        runs = sorted((one.parents[1] for one in path.glob(f"*/{BEST}")), key=_by_number)
        if runs:
            kind = "a sweep" if runs[0].name.isdecimal() else "a folder"
            yield f"{key} must name one run, got {source}, {kind} of {len(runs)}. Pass {key}={runs[0]}."
        elif (path / "run.json").is_file():
            yield f"{key} must name a run with {BEST}, got {source}, a run that has none yet. Start it again."
        else:
            yield f"{key}={source} is a folder without {BEST} and {EXPORTED}; {POSSIBLE}"


def _by_number(run: Path) -> tuple[bool, int, str]:
    return (False, int(run.name), "") if run.name.isdecimal() else (True, 0, run.name)


def local_problems(source: str, key: str, possible: str) -> Iterator[str]:
    """Yield why weights to start from or to teach with, which the user set ``key`` to, are not at ``source``."""
    if os.path.isdir(source):  # noqa: PTH112 - as above
        yield from problems(source, key)
    elif not os.path.isfile(source):  # noqa: PTH113 - as above
        yield f"{key}={source} is not a file; pass {key}={possible}"


def nothing_there(source: str, key: str) -> str:
    """What to say of what is neither on disk nor known to timm."""
    if len(source) > _SHOWN:
        source = f"{source[:_SHOWN]}…"
    return f"{key}={source} is no file, no folder and no network of timm; {POSSIBLE}"
