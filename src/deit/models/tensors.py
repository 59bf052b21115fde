"""Checks of the tensors of a weights file, before any of them is computed with."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from deit.config.errors import ConfigError

State = dict[str, Tensor]

_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_SHARED = 2  # tied weights stand under two names


def refuse_special(state: State, path: Path) -> None:
    """Refuse tensors that are no plain arrays of numbers: a small file may describe very large ones by them.

    Raises:
        ConfigError: naming the file and the tensors.
    """
    special = {name: kind for name, tensor in state.items() if (kind := _kind(tensor)) is not None}
    if special:
        raise ConfigError(
            f"{path} holds tensors that no network here has: {_some([f'{n} ({kind})' for n, kind in special.items()])};"
            " pass a file of plain tensors"
        )


def check_weights(state: State, path: Path, *, held: int) -> None:
    """Check that the weights of a network are finite numbers, as many as the file has bytes for.

    held: bytes of the file.

    Raises:
        ConfigError: naming the file and the tensors, for expanded ones, for numbers that are scaled or complex, and for
            NaN and infinity.
    """
    expanded = [name for name, tensor in state.items() if tensor.nbytes > tensor.untyped_storage().nbytes()]
    claimed = sum(tensor.nbytes for tensor in state.values())
    if expanded or claimed > _SHARED * held:
        raise ConfigError(
            f"{path} was refused: its tensors claim {claimed:,} bytes, the file has {held:,}"
            f"{f' ({_some(expanded)} expanded from fewer numbers)' if expanded else ''}; pass another file"
        )
    if scaled := [f"{n} ({t.dtype})" for n, t in state.items() if not (t.dtype in _FLOATS or _is_count(t))]:
        raise ConfigError(
            f"{path} holds weights that are no floating-point numbers, or need a scale: {_some(scaled)}; pass a file in"
            " float32, float16 or bfloat16"
        )
    if spoilt := [
        name for name, tensor in state.items() if tensor.is_floating_point() and not _is_finite(name, tensor)
    ]:
        raise ConfigError(
            f"{path} holds weights that are no numbers (NaN or infinite): {_some(spoilt)}; its training had failed:"
            " pass another file"
        )


def _kind(tensor: Tensor) -> str | None:
    """What distinguishes ``tensor`` from a plain array; None if nothing does."""
    if tensor.is_nested:
        return "nested"
    if tensor.is_quantized:
        return "quantized"
    if tensor.is_meta:
        return "meta, without numbers"
    return None if tensor.layout is torch.strided else str(tensor.layout).removeprefix("torch.").replace("_", " ")


def _is_count(tensor: Tensor) -> bool:
    """Whether these are whole numbers as a network keeps them beside its weights: counters, indices, masks."""
    return tensor.dtype in (torch.int64, torch.int32, torch.bool)


def _is_finite(name: str, tensor: Tensor) -> bool:
    return name.endswith("mask") or bool(tensor.isfinite().all())  # a mask is added to attention, as minus infinity


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
