"""Files of weights in a folder: of a run, or as the Hugging Face Hub hands a network out."""

import json
from pathlib import Path

from deit.config.checkpoint_source import BEST, snapshot
from deit.config.errors import ConfigError

WHOLE = ("model.safetensors", "pytorch_model.bin")
"""Names of a file with all weights, as transformers and timm give them, the preferred one first."""
_INDEX = ".index.json"  # beside several files: which tensor is in which of them
_OTHERS = ("tf_model.h5", "flax_model.msgpack", "model.onnx")  # of other programs than PyTorch


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the weights of ``folder``: one, or several that an index names.

    Raises:
        ConfigError: if there are none, or one that the index names is missing or lies elsewhere.
    """
    folder = snapshot(folder)
    if (folder / BEST).is_file():
        return [folder / BEST]
    for name in WHOLE:
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}{_INDEX}").is_file():
            return _indexed(folder / f"{name}{_INDEX}")
    for name in WHOLE:
        stem, suffix = name.rsplit(".", 1)
        variants = sorted(folder.glob(f"{stem}.*.{suffix}"))  # model.fp16.safetensors, of half the precision
        if len(variants) == 1:
            return variants
    found = [name for name in _OTHERS if (folder / name).is_file()]
    why = f", only {', '.join(found)}, which PyTorch does not read" if found else ""
    raise ConfigError(
        f"{folder} must hold {' or '.join(WHOLE)}, or one of them in parts beside its {_INDEX}{why}."
        " Pass another folder, or the file."
    )


def _indexed(index: Path) -> list[Path]:
    try:
        names = sorted({str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as fault:
        raise ConfigError(f"{index} is damaged: it does not say which files hold the weights ({fault})") from None
    if outside := [name for name in names if Path(name).name != name]:
        raise ConfigError(f"{index} names {outside[0]}, which is not a file of its folder; download the folder again")
    if missing := [name for name in names if not (index.parent / name).is_file()]:
        raise ConfigError(
            f"{index} names {', '.join(missing[:3])}, which {'is' if len(missing) == 1 else 'are'} not there; download"
            " the rest of the folder"
        )
    if not names:
        raise ConfigError(f"{index} names no files; download the folder again")
    return [index.parent / name for name in names]
