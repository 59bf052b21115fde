"""What a trained network may be read from, as far as that shows without torch."""

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
_SUFFIXES = (".ckpt", ".pth", ".pt", ".bin", ".safetensors")


def problems(source: str, key: str = "checkpoint") -> Iterator[str]:
    """Yield why ``source``, which the user set ``key`` to, can be read from in no case."""
    path = Path(source)
    if source.startswith(PUBLISHED) or path.is_file():
        return
    if not path.is_dir():
        if len(path.parts) > 1 or path.suffix in _SUFFIXES:  # else it may be a name of timm's
            yield nothing_there(source, key)
    elif not (path / EXPORTED).is_file() and not (path / BEST).is_file():
        yield f"{key}={source} is a folder without {BEST} and {EXPORTED}; {POSSIBLE}"


def nothing_there(source: str, key: str) -> str:
    """What to say of what is neither on disk nor known to timm."""
    return f"{key}={source} is no file, no folder and no network of timm; {POSSIBLE}"
