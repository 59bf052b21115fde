"""Weights files: read without executing anything, fitted into a student, written whole or not at all.

Shapes: P prefix tokens (class, distillation), N patch tokens, D width, K classes.
"""

import json
import math
import os
import zipfile
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from deit.config.errors import ConfigError
from deit.models.positions import resample_positions
from deit.models.students import Student

State = dict[str, Tensor]

_CONTAINERS = ("model", "model_ema", "state_dict")  # the official code's two, then Lightning's and timm's
_WRAPPERS = ("module.", "model.", "network.", "student.", "net.")  # what DDP and modules of ours put before a name
_STUDENT = "student.net."  # where our Lightning checkpoints keep the student
_CONVERT = (
    "keep the tensors alone, in a process that trusts the file: "
    "torch.save({'model': torch.load(<file>, weights_only=False)['model']}, <new file>)"
)


@dataclass(frozen=True)
class LoadReport:
    """Which tensors came from the file as they were, and what became of the others."""

    loaded: tuple[str, ...] = ()
    """Taken over unchanged."""
    resampled: tuple[str, ...] = ()
    """Taken over at another resolution."""
    initialised: tuple[str, ...] = ()
    """Not in the file: derived from its class token, or left as freshly drawn."""
    dropped: tuple[str, ...] = ()
    """In the file, without a place in the student."""

    def summary(self) -> str:
        """One line for the log."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        named = {"resampled": self.resampled, "initialised": self.initialised, "dropped": self.dropped}
        parts += [f"{what}: {', '.join(names)}" for what, names in named.items() if names]
        return "; ".join(parts)


def read_state(path: str | Path) -> State:
    """The tensors of a weights file by their bare names, on the CPU.

    Understands safetensors, released DeiT files, checkpoints of the official code and Lightning's of ours (of which
    it takes the student only). Raises ConfigError, naming the file, for anything that is missing, is no checkpoint,
    or would have to execute code in order to be read.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path} is not a file; pass the path of a .pth, .safetensors or .ckpt file")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    for container in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
            break
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise ConfigError(
            f"{path} holds no weights; possible are tensors by name, at the top or under one of"
            f" {', '.join(_CONTAINERS)}; {_CONVERT}"
        )
    return _bare({str(name): tensor for name, tensor in content.items()})


def _read_safetensors(path: Path) -> State:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as fault:
        raise ConfigError(f"{path} is no safetensors file ({fault}); pass another, or make it anew") from None


def _read_torch(path: Path) -> object:
    try:
        # The official code stores its command line beside the weights: a Namespace is data, not code.
        with torch.serialization.safe_globals([Namespace]):
            # Files from before torch 1.6 are no zip archives and cannot be mapped.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except UnpicklingError as fault:
        reason = next((line for line in str(fault).splitlines() if "GLOBAL" in line), "it is no pickle of tensors")
        raise ConfigError(f"{path} was refused: reading it could run code ({reason.strip()}); {_CONVERT}") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as fault:
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise ConfigError(f"{path} is no checkpoint ({reason}); pass a .pth, .safetensors or .ckpt file") from None


def _bare(state: State) -> State:
    """Without the prefixes that wrappers and compilers put before names, and without what is not the student's."""
    state = {name.replace("_orig_mod.", ""): tensor for name, tensor in state.items()}
    if any(name.startswith(_STUDENT) for name in state):
        state = {name: tensor for name, tensor in state.items() if name.startswith(_STUDENT)}
    while prefix := next((p for p in _WRAPPERS if all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def load_student(student: Student, path: str | Path) -> LoadReport:
    """Weights of a plain or distilled DeiT, of any resolution and number of classes, into ``student``.

    Position embeddings are resampled to the student's grid. A plain file gives a student with a token its class
    token's values to start from; a distilled file gives a plain student all but the token. Heads for other classes
    stay as freshly drawn. Raises ConfigError for everything else that does not fit; the student is then unchanged.
    """
    state = read_state(path)
    own = student.net.state_dict()
    if "pos_embed" not in state or "cls_token" not in state:
        raise ConfigError(
            f"{path} holds no vision transformer in timm's layout ({_some(state)});"
            " possible are DeiT files with pos_embed, cls_token, blocks.0…; pass another file or leave init out"
        )
    state, derived, dropped = _matched_tokens(state, own, Path(path))
    resampled = [] if state["pos_embed"].shape == own["pos_embed"].shape else ["pos_embed"]
    state["pos_embed"] = _at_grid(state["pos_embed"], student, Path(path))
    for head in ("head", "head_dist"):
        names = [f"{head}.weight", f"{head}.bias"]
        if all(name in state and name in own for name in names) and state[names[0]].shape[0] != own[names[0]].shape[0]:
            dropped += [name for name in names if name not in derived]
            derived += [name for name in names if name not in derived]
            state |= {name: own[name] for name in names}
    load_exactly(student.net, state, path)
    untouched = tuple(name for name in own if name not in derived and name not in resampled)
    return LoadReport(untouched, tuple(resampled), tuple(derived), tuple(dropped))


def _matched_tokens(state: State, own: State, path: Path) -> tuple[State, list[str], list[str]]:
    """The file's tensors with the student's tokens; the names made up on the way, and those left out."""
    state = dict(state)
    of_distill = ("dist_token", "head_dist.weight", "head_dist.bias")
    if "dist_token" in state and "dist_token" not in own:
        dropped = [name for name in of_distill if state.pop(name, None) is not None]
        positions = state["pos_embed"]
        state["pos_embed"] = torch.cat((positions[:, :1], positions[:, 2:]), dim=1)  # class, then patches
        return state, [], dropped
    if "dist_token" not in state and math.isqrt(state["pos_embed"].shape[1]) ** 2 == state["pos_embed"].shape[1]:
        raise ConfigError(
            f"{path} gives its class token no position, as DeiT III does; possible are files of DeiT, plain or"
            " distilled; pass another file or leave init out"
        )
    if "dist_token" in own and "dist_token" not in state:
        positions = state["pos_embed"]
        state["pos_embed"] = torch.cat((positions[:, :1], positions), dim=1)  # class, its copy, patches
        state["dist_token"] = state["cls_token"].clone()
        state |= {f"head_dist.{k}": state[f"head.{k}"].clone() for k in ("weight", "bias") if f"head.{k}" in state}
        return state, list(of_distill), []
    return state, [], []


def _at_grid(pos_embed: Tensor, student: Student, path: Path) -> Tensor:
    """Position embeddings at the student's grid; those of another number of patches must be of a square grid."""
    height, width = student.net.patch_embed.grid_size
    prefix = student.net.num_prefix_tokens
    patches = pos_embed.shape[1] - prefix
    if patches == height * width:
        return pos_embed
    side = math.isqrt(patches)
    if side * side != patches:
        raise ConfigError(
            f"{path} has positions for {patches} patches, which make no square grid; possible are square grids, or"
            f" the student's own of {height} x {width}; pass another file or leave init out"
        )
    return resample_positions(pos_embed, (side, side), (height, width), prefix)


def load_exactly(net: nn.Module, state: State, path: str | Path) -> None:
    """``state`` into ``net``, tensor for tensor. Raises ConfigError naming what is missing, foreign or of another
    shape; the network is then unchanged."""
    own = net.state_dict()
    misshapen = [
        f"{name} is {_shape(state[name])} instead of {_shape(own[name])}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    faults = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another shape": misshapen,
    }
    if any(faults.values()):
        told = "; ".join(f"{what}: {_some(names)}" for what, names in faults.items() if names)
        raise ConfigError(f"{path} does not fit the network; {told}; pass the file of a network of the same form")
    net.load_state_dict(state, strict=True)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _some(names: Mapping[str, Tensor] | list[str]) -> str:
    """The first few names and the number of the rest."""
    shown = list(names)[:4]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def save_weights(path: str | Path, state_dict: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Tensors and strings as a safetensors file: after a crash, the old file or the new one, never half of one."""
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # Clones, because safetensors refuses tensors that share memory, as those of tied or flattened modules do.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state_dict.items()}
    try:
        save_file(tensors, draft, dict(metadata))
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_metadata(path: str | Path) -> dict[str, str]:
    """The strings that `save_weights` put beside the tensors; empty for formats that carry none."""
    path = Path(path)
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, json.JSONDecodeError) as fault:
        raise ConfigError(f"{path} is no safetensors file ({fault}); pass another, or make it anew") from None
