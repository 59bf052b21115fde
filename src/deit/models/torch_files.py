"""Files of ``torch.save``, read without executing anything that they hold and without more memory than they have bytes.

A file that needs code to be read is refused, with the line that converts this file where it may be trusted.
"""

import re
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from deit.config.errors import ConfigError

CONTAINERS = ("model", "state_dict", "model_state_dict", "net", "network", "module", "student", "weights", "params")
"""Keys of a checkpoint under which its weights are, in the order in which they are looked for."""
AVERAGES = ("model_ema", "state_dict_ema", "ema_state_dict", "model_ema_state_dict", "ema_model", "ema", "params_ema")
"""Keys under which the exponential moving average of the weights is."""

_POINTER = b"version https://git-lfs"  # what a repository holds in place of a file until `git lfs pull`
_BLANK = b"bytearray\n"  # the one harmless global whose argument may be a number of bytes to fill


class Inert:
    """Stand-in for an object of another library: it keeps its state and does nothing."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __setstate__(self, state: object) -> None:
        self.state = state


# Paths and NumPy's numbers stand beside the weights of training scripts. They are data; their own constructors take
# states that nobody has checked, so that they are not called.
_DATA = tuple(
    (Inert, name)
    for name in (
        *(f"pathlib.{kind}" for kind in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
        *(f"pathlib._local.{kind}" for kind in ("Path", "PosixPath", "WindowsPath")),  # as Python 3.13 writes them
        *(f"numpy.{core}.multiarray.{call}" for core in ("core", "_core") for call in ("scalar", "_reconstruct")),
        *("numpy.dtype", "numpy.ndarray", "datetime.datetime", "datetime.timedelta"),
    )
)


def read_torch(path: Path, *, way_out: str | None = None) -> object:
    """Read what ``torch.save`` wrote, on the CPU.

    Args:
        way_out: What to do about a file that cannot be read without executing code; None: how to convert it.

    Raises:
        ConfigError: naming the file, for such a file, for a corrupt one, for one whose entries claim more than the file
            holds, and for another format.
    """
    try:
        return _read(path, _DATA)
    except UnpicklingError as fault:
        if _is_of_run(path) and not zipfile.is_zipfile(path):  # a run's own is an archive unless it was cut off
            raise _no_checkpoint(path, fault) from None
        found = re.search(r"GLOBAL \S+", str(fault))  # what follows is torch's advice to trust the file
        reason = found[0] if found else "it is no pickle of tensors"
        way_out = way_out or f"convert it on a machine that may trust the file: {conversion(path)}"
        raise ConfigError(f"{path} was refused: reading it could run code ({reason}); {way_out}") from None
    except ConfigError:
        raise
    except Exception as fault:  # on damaged bytes torch's readers raise nearly anything
        raise _no_checkpoint(path, fault) from None


def _read(path: Path, stand_ins: tuple[tuple[type[Inert], str], ...]) -> object:
    # Files from before torch 1.6 are no zip archives: they cannot be mapped and have no checksums.
    is_zip = zipfile.is_zipfile(path)
    if is_pointer(path):
        raise not_fetched(path)
    if is_zip:
        _check_archive(path)
    elif _BLANK in path.read_bytes():
        raise UnpicklingError("GLOBAL bytearray may fill the memory")
    # The official code stores its command line beside the weights: a Namespace is data, not code.
    with torch.serialization.safe_globals([Namespace, *stand_ins]):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)


def _check_archive(path: Path) -> None:
    """Check that an archive holds what it claims to, then its checksums, at 3 GB a second: torch.load does neither.

    torch.save compresses nothing. A compressed entry, or one that overlaps another, can be a thousand times as large
    as the file.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(one.filename.endswith("/constants.pkl") for one in entries):
            line = saved(f"torch.jit.load({str(path)!r}, map_location='cpu').state_dict()", path)
            way_out = f"convert it on a machine that may trust the file: {line}"
            raise ConfigError(f"{path} is TorchScript, a program with weights in it; {way_out}")
        if packed := next((one for one in entries if one.compress_type != zipfile.ZIP_STORED), None):
            raise ConfigError(
                f"{path} was refused: {packed.filename} in it is compressed, to {packed.file_size:,} bytes unpacked,"
                " and torch.save writes nothing compressed; unpack the .pth file that it may hold, or pass another file"
            )
        if (claimed := sum(one.file_size for one in entries)) > (held := path.stat().st_size):
            raise ConfigError(
                f"{path} was refused: its entries claim {claimed:,} bytes, the file has {held:,}; pass another file"
            )
        if (corrupt := archive.testzip()) is not None:
            raise ConfigError(f"{path} is corrupt: {corrupt} in it has another checksum. {_remedy(path)}")
        pickle = next((one for one in entries if one.filename.endswith("data.pkl")), None)
        if pickle is not None and _BLANK in archive.read(pickle):
            raise UnpicklingError("GLOBAL bytearray may fill the memory")


def is_pointer(path: Path) -> bool:
    """Return True if ``path`` holds what Git keeps in place of a large file until it is fetched."""
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def not_fetched(path: Path) -> ConfigError:
    """Say that a file is such a pointer."""
    return ConfigError(f"{path} is a pointer of Git LFS and holds no weights; type git lfs pull in its folder")


def _no_checkpoint(path: Path, fault: Exception) -> ConfigError:
    reason = (str(fault).splitlines() or [type(fault).__name__])[0]
    if _is_of_run(path):
        return ConfigError(f"{path} is corrupt ({reason}). {_remedy(path)}")
    return ConfigError(f"{path} is no checkpoint ({reason}); pass a .pth, .safetensors or .ckpt file")


def _is_of_run(path: Path) -> bool:
    return path.suffix == ".ckpt" and path.parent.name == "checkpoints"


def _remedy(path: Path) -> str:
    """Say how to get what a corrupt file held."""
    if not _is_of_run(path):
        return "Copy or download it again."
    run = path.parent.parent
    return (
        f"The weights of that epoch are lost unless you have a copy. Pass another checkpoint of {path.parent}, or train"
        f" the run again with hydra.run.dir={run} resume=never."
    )


def conversion(path: Path) -> str:
    """Return the line of Python that saves the tensors of ``path`` alone, where the file may be trusted.

    The file's structure is read with inert stand-ins for all that would need code, so that the line names the key that
    this file has.
    """
    opened = f"torch.load({str(path)!r}, map_location='cpu', weights_only=False)"
    content = _structure(path)
    if content is None:  # the line looks for itself
        inside = (
            f"(lambda c: next((c[k] for k in {CONTAINERS[:3]} if k in c), c) if isinstance(c, dict) else c)({opened})"
        )
        return saved(f"(lambda c: c.state_dict() if hasattr(c, 'state_dict') else c)({inside})", path)
    keys: list[str] = []
    if isinstance(content, Mapping):
        keys = [name for name in (*CONTAINERS, *AVERAGES) if isinstance(content.get(name), Mapping | Inert)]
        if len(keys) > 1 and all(isinstance(content[key], Mapping) for key in keys):
            return saved(f"{{key: value for key, value in {opened}.items() if key in {keys}}}", path)
        content = content[keys[0]] if keys else content
    found = opened if not keys else f"{opened}[{keys[0]!r}]"
    if isinstance(content, Inert):
        return saved(f"{found}.state_dict()", path)
    if isinstance(content, Mapping) and not all(isinstance(value, Tensor) for value in content.values()):
        kept = f"{{name: value for name, value in {found}.items() if isinstance(value, torch.Tensor)}}"
        return saved(kept, path)
    return saved(f"{{'model': {found}}}", path)


def saved(expression: str, path: Path) -> str:
    """Return the line of Python that saves an expression in a new file beside ``path``."""
    return f"torch.save({expression}, {str(path.with_name(f'{path.stem}-tensors.pth'))!r})"


def _structure(path: Path) -> object:
    """The content of a file with a stand-in for every object that would need code; None where there is no telling."""
    stand_ins: dict[str, tuple[type[Inert], str]] = {name: (kind, name) for kind, name in _DATA}
    for _ in range(1000):  # a file names a few classes, each of which is told by itself
        try:
            return _read(path, tuple(stand_ins.values()))
        except UnpicklingError as fault:
            unknown = _unknown_global(str(fault))
            if unknown is None or unknown in stand_ins:
                return None
            stand_ins[unknown] = (Inert, unknown)
            if "." not in unknown:
                stand_ins[f"builtins.{unknown}"] = (Inert, f"builtins.{unknown}")
        except Exception:  # it has been said already why the file cannot be read
            return None
    return None


def _unknown_global(fault: str) -> str | None:
    words = fault.partition("Unsupported global: GLOBAL ")[2].split()
    return words[0] if words else None
