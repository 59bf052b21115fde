"""Weights files: read without executing anything, written whole or not at all."""

import hashlib
import json
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from deit.config import drafts
from deit.config.errors import ConfigError, RunError, written

State = dict[str, Tensor]

_CONTAINERS = ("model", "model_ema", "state_dict")  # the official code's two, then Lightning's and timm's
_WRAPPERS = ("module.", "model.", "network.", "student.", "net.")  # what DDP and modules of ours put before a name
_STUDENT = "student.net."  # where our Lightning checkpoints keep the student
_AVERAGE = "average.module.net."  # and where the average of its weights
_CONVERT = (
    "keep the tensors alone, on a machine that may trust the file: "
    "torch.save({'model': torch.load(<file>, weights_only=False)['model']}, <new file>)"
)
_DIGEST = "sha256"  # a string beside the others in files of ours, for safetensors has no checksum


def read_state(path: str | Path, *, ema: bool = False, key: str = "init_ema") -> State:
    """The tensors of a weights file by their bare names, on the CPU.

    Understands safetensors, released DeiT files, checkpoints of the official code and Lightning's of ours (of which
    it takes the student only). ema: the averaged weights that a checkpoint holds beside the others; key: what the user
    asked for them by, for the message. Raises
    ConfigError, naming the file, for anything that is missing, is no checkpoint, holds no averaged weights that were
    asked for, or would have to execute code in order to be read.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path} is not a file; pass the path of a .pth, .safetensors or .ckpt file")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
    containers = ("model_ema", "state_dict") if ema else _CONTAINERS
    held = [name for name in containers if isinstance(content, Mapping) and isinstance(content.get(name), Mapping)]
    if ema and not held:
        raise _no_average(path, key)
    if isinstance(content, Mapping) and held:
        content = content[held[0]]
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise ConfigError(
            f"{path} holds no weights; possible are tensors by name, at the top or under one of"
            f" {', '.join(_CONTAINERS)}; {_CONVERT}"
        )
    state = {str(name).replace("_orig_mod.", ""): tensor for name, tensor in content.items()}
    if spoilt := [name for name, tensor in state.items() if tensor.is_floating_point() and bool(tensor.isnan().any())]:
        raise ConfigError(
            f"{path} holds weights that are no numbers (NaN): {', '.join(spoilt[:3])}"
            f"{f' and {len(spoilt) - 3} more' if len(spoilt) > 3 else ''}; its training had failed: pass another file"
        )
    ours = any(name.startswith(_STUDENT) for name in state)
    if ema and "model_ema" not in held and not any(name.startswith(_AVERAGE) for name in state):
        raise _no_average(path, key)
    return _bare(state, (_AVERAGE if ema else _STUDENT) if ours else "")


def _no_average(path: Path, key: str) -> ConfigError:
    return ConfigError(
        f"{path} holds no averaged weights, which {key}=true asks for; possible are checkpoints of runs with"
        f" optim.ema, and the official code's with model_ema; pass {key}=false"
    )


def _read_safetensors(path: Path) -> State:
    metadata = _strings(path)
    recorded = metadata.pop(_DIGEST, None)
    try:
        state = load_file(path)
    except Exception as fault:  # on damaged bytes it raises more than its own kind
        raise _no_safetensors(path, fault) from None
    if recorded not in (None, _digest(state, metadata)):
        raise ConfigError(
            f"{path} is damaged: it does not hold what it was written with; copy it again, or make it anew"
        )
    return state


def _no_safetensors(path: Path, fault: Exception) -> ConfigError:
    return ConfigError(f"{path} is no safetensors file ({fault}); pass another, or make it anew")


def _digest(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of tensors and strings with their names, whatever their order."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_torch(path: Path, *, way_out: str = _CONVERT) -> object:
    """What torch.save wrote, on the CPU.

    way_out: what to do about a file that cannot be read without executing code.

    Raises ConfigError, naming the file, for that, for damage, and for what is no such file.
    """
    try:
        # Files from before torch 1.6 are no zip archives: they cannot be mapped and have no checksums.
        is_zip = zipfile.is_zipfile(path)
        if is_zip:
            _refuse_damage(path)
        # The official code stores its command line beside the weights: a Namespace is data, not code.
        with torch.serialization.safe_globals([Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except UnpicklingError as fault:
        reason = next((line for line in str(fault).splitlines() if "GLOBAL" in line), "it is no pickle of tensors")
        raise ConfigError(f"{path} was refused: reading it could run code ({reason.strip()}); {way_out}") from None
    except ConfigError:
        raise
    except Exception as fault:  # on damaged bytes torch's readers raise nearly anything
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise ConfigError(f"{path} is no checkpoint ({reason}); pass a .pth, .safetensors or .ckpt file") from None


def _refuse_damage(path: Path) -> None:
    """Compare the checksums of an archive, at 3 GB a second, for torch.load does not."""
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ConfigError(f"{path} is damaged: {damaged} in it has another checksum; copy or download it again")


def _bare(state: State, part: str) -> State:
    """What begins with ``part``, without it and without the prefixes that wrappers and compilers put before names."""
    state = {name.removeprefix(part): tensor for name, tensor in state.items() if name.startswith(part)}
    while prefix := next((p for p in _WRAPPERS if all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


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
    path = Path(path)
    return {} if path.suffix != ".safetensors" else {k: v for k, v in _strings(path).items() if k != _DIGEST}


def _strings(path: Path) -> dict[str, str]:
    """All strings of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except Exception as fault:  # as above
        raise _no_safetensors(path, fault) from None
