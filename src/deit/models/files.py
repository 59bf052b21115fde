"""Weights files: read without executing anything, written whole or not at all."""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, uint8

from deit.config import drafts
from deit.config.errors import ConfigError, RunError, written
from deit.models.contents import Found, find_network
from deit.models.folders import weight_files
from deit.models.tensors import State, check_weights, refuse_special
from deit.models.torch_files import is_pointer, not_fetched, read_torch

__all__ = ["State", "read_metadata", "read_state", "read_torch", "read_weights", "save_weights"]

log = logging.getLogger(__name__)

_DIGEST = "sha256"  # a string beside the others in files of ours, for safetensors has no checksum
_LARGEST_HEADER = 100_000_000  # bytes, safetensors' own bound


def read_state(path: str | Path, *, ema: bool = False, key: str = "init_ema") -> State:
    """The tensors of a network by their bare names, on the CPU, as `read_weights` finds them."""
    return read_weights(path, ema=ema, key=key).state


def read_weights(path: str | Path, *, ema: bool = False, key: str = "init_ema") -> Found:
    """Read the network of a weights file, or of a folder of such files, on the CPU.

    Understands safetensors, released DeiT files, checkpoints of the official code, timm, Hugging Face and Lightning: of
    a teacher and a student it takes the student, and the tensors of losses and metrics are left out with a warning.

    Args:
        ema: The exponential moving average of the weights that a checkpoint holds beside the others.
        key: What the user asked for it by, for the message.

    Raises:
        ConfigError: naming the file, for anything that is missing, is no checkpoint, holds no averaged weights that
            were asked for, claims more than it holds, has weights that are not finite, or would have to execute code in
            order to be read.
    """
    path = Path(path)
    files = weight_files(path) if path.is_dir() else [path]
    if not path.is_dir() and not path.is_file():
        raise ConfigError(f"{path} is not a file; pass the path of a .pth, .safetensors or .ckpt file")
    content = _read(files[0]) if len(files) == 1 else {n: t for file in files for n, t in _shard(file).items()}
    found = find_network(content, path, ema=ema)
    if found is None:
        raise ConfigError(
            f"{path} holds no averaged weights, which {key}=true asks for; possible are checkpoints of runs with"
            f" optim.ema, the official code's with model_ema and timm's with state_dict_ema; pass {key}=false"
        )
    check_weights(found.state, path, held=sum(file.stat().st_size for file in files))
    if found.dropped:
        log.warning(f"{path}: not part of the network and left out: {', '.join(found.dropped)}")
    return found


def _read(file: Path) -> object:
    return _read_safetensors(file) if _is_safetensors(file) else read_torch(file)


def _shard(file: Path) -> State:
    """The tensors of one of several files, which hold nothing else."""
    content = _read(file)
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ConfigError(
            f"{file} holds no tensors by name, as one of several files of weights does; download it again"
        )
    refuse_special(dict(content), file)
    return dict(content)


def _is_safetensors(file: Path) -> bool:
    """Whether ``file`` is called so, or begins as such a file does: in the Hub's cache files bear no name."""
    if file.suffix == ".safetensors":
        return True
    with file.open("rb") as opened:
        begin = opened.read(9)
    return begin[8:] == b"{" and int.from_bytes(begin[:8], "little") < _LARGEST_HEADER


def _read_safetensors(path: Path) -> State:
    metadata = _strings(path)
    recorded = metadata.pop(_DIGEST, None)
    try:
        state = load_file(path)
    except Exception as fault:  # on damaged bytes it raises more than its own kind
        raise _no_safetensors(path, fault) from None
    if recorded not in (None, _digest(state, metadata)):
        raise ConfigError(
            f"{path} is corrupt: it does not hold what it was written with. Copy it again, or delete it: the next run"
            " fits a teacher again, and src/export.py writes a network again."
        )
    return state


def _no_safetensors(path: Path, fault: Exception) -> ConfigError:
    if is_pointer(path):
        return not_fetched(path)
    return ConfigError(f"{path} is no safetensors file ({fault}); pass another, or make it anew")


def _digest(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of tensors and strings with their names, whatever their order."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(uint8).numpy().tobytes())
    return digest.hexdigest()


def save_weights(path: str | Path, state_dict: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Tensors and strings as a safetensors file: after a crash, the old file or the new one, never half of one.

    Raises RunError, naming the file, if the disk does not take it.
    """
    path = Path(path)
    # Clones, because safetensors refuses tensors that share memory, as those of tied or flattened modules do.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state_dict.items()}
    try:
        with written(path, "there is nothing of it"):
            drafts.remove_abandoned(path.parent)
            with drafts.draft(path) as draft:
                save_file(tensors, draft, {**metadata, _DIGEST: _digest(tensors, metadata)})
    except SafetensorError as fault:  # what a full disk is to safetensors
        raise RunError(f"{path} cannot be written ({fault}); make room for {path.parent} and start again") from fault


def read_metadata(path: str | Path) -> dict[str, str]:
    """The strings that `save_weights` put beside the tensors; empty for formats that carry none."""
    path = weight_files(Path(path))[0] if Path(path).is_dir() else Path(path)
    return {} if path.suffix != ".safetensors" else {k: v for k, v in _strings(path).items() if k != _DIGEST}


def _strings(path: Path) -> dict[str, str]:
    """All strings of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except Exception as fault:  # as above
        raise _no_safetensors(path, fault) from None
