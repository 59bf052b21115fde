"""Which network a bare weights file is of, told by the shapes of its tensors.

Shapes: D width, p side of a patch, P prefix positions, N patches, K classes.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any

from timm.models.cait import Cait
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from deit.config.errors import ConfigError
from deit.models.hugging_face import Architecture
from deit.models.preprocess import LARGEST_IMAGE
from deit.models.tensors import State

_HEAD_DIM, _CAIT_HEAD_DIM = 64, 48  # DeiT, Table 1; CaiT, Table 1: files do not say how many heads there are
_ACTIVATIONS = {
    "gelu": nn.GELU,
    "gelu_new": partial(nn.GELU, approximate="tanh"),
    "gelu_pytorch_tanh": partial(nn.GELU, approximate="tanh"),
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
}
_NEEDED = ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.mlp.fc1.weight", "head.weight")


def infer_network(state: State, path: Path, known: Architecture | None = None) -> tuple[nn.Module, State, int, int]:
    """Build the DeiT, DeiT III or CaiT that tensors are of, with fresh weights.

    Args:
        state: Tensors under timm's names.
        path: Their file, for messages.
        known: What the file's folder says of the network.

    Returns:
        The network, the tensors under its own names, the side of its images, and the number of its classes.

    Raises:
        ConfigError: for tensors of another network, or that do not fit each other.
    """
    _refuse_other_networks(state, path)
    width, patch = state["patch_embed.proj.weight"].shape[0], state["patch_embed.proj.weight"].shape[-1]
    positions = state["pos_embed"].shape[1]
    tokens = 2 if "dist_token" in state else 1
    depth = _count(state, "blocks")
    prefix = next((p for p in (tokens, 0) if math.isqrt(positions - p) ** 2 == positions - p), None)
    is_cait = "blocks_token_only.0.attn.q.weight" in state
    head_dim = _CAIT_HEAD_DIM if is_cait else _HEAD_DIM
    if known is not None:
        head_dim = width // known.heads or width + 1
    if prefix is None or width % head_dim:
        why = f"{positions} positions make no square grid" if prefix is None else f"no heads of {head_dim} make {width}"
        raise ConfigError(f"{path} is of an unknown form: {why}; pass a checkpoint of a run, which says what it is")
    image_size = _image_size(patch * math.isqrt(positions - prefix), path)
    _refuse_odd_blocks(state, depth, width, path)
    num_classes = state["head.weight"].shape[0]
    shape = {
        "img_size": image_size,
        "patch_size": patch,
        "num_classes": num_classes,
        "embed_dim": width,
        "depth": depth,
        "num_heads": width // head_dim,
        "mlp_ratio": state["blocks.0.mlp.fc1.weight"].shape[0] / width,
        "qkv_bias": "blocks.0.attn.qkv.bias" in state or is_cait,
    }
    if is_cait:
        return Cait(**shape, depth_token_only=_count(state, "blocks_token_only")), state, image_size, num_classes
    more: dict[str, Any] = {"no_embed_class": prefix == 0, **({} if known is None else _layers(known, path))}
    if any(name in state for name in ("blocks.0.ls1.gamma", "blocks.0.gamma_1")):
        more["init_values"] = 1e-5
    net, state = _transformer(state, shape | more, alone=known is not None)
    return net, state, image_size, num_classes


def _refuse_other_networks(state: State, path: Path) -> None:
    """Refuse tensors that are not of these families.

    Raises:
        ConfigError: naming what is missing.
    """
    if "head.weight" not in state and all(name in state for name in _NEEDED if name != "head.weight"):
        raise ConfigError(
            f"{path} holds a transformer without a class head, which decides nothing. Pass init={path} to train one"
            " from it, or a file with a head."
        )
    if missing := [name for name in _NEEDED if name not in state]:
        raise ConfigError(
            f"{path} holds no DeiT, DeiT III or CaiT that shapes alone describe: {', '.join(missing)} missing; pass a"
            " run's checkpoint, an exported folder, or timm:<name>"
        )


def _image_size(pixels: int, path: Path) -> int:
    """``pixels``, the side of a network's images, unless it is larger than any.

    Raises:
        ConfigError: if so.
    """
    if pixels > LARGEST_IMAGE:
        raise ConfigError(f"{path} is of a network for images of {pixels} pixels, where {LARGEST_IMAGE} are the most")
    return pixels


def _transformer(state: State, arguments: dict[str, Any], *, alone: bool) -> tuple[nn.Module, State]:
    """A DeiT or DeiT III built of ``arguments``, and the tensors under its names.

    alone: Whether the class head decides alone where the distillation token has none, as it does in Hugging Face's
    DeiTForImageClassification: there the token is one of a register.
    """
    if "dist_token" not in state:
        return VisionTransformer(**arguments), state
    if "head_dist.weight" not in state and alone:
        renamed = {("reg_token" if name == "dist_token" else name): tensor for name, tensor in state.items()}
        return VisionTransformer(**arguments, reg_tokens=1), renamed
    net = VisionTransformerDistilled(**arguments)
    if arguments["no_embed_class"]:
        net.pos_embed = nn.Parameter(state["pos_embed"].clone())  # timm makes room for tokens that have no position
    return net, state


def usual(state: State) -> Architecture:
    """Return what transformers builds of these tensors where nothing says otherwise."""
    width = state["cls_token"].shape[-1]
    return Architecture(heads=max(1, width // _HEAD_DIM), epsilon=1e-12, activation="gelu")


def _layers(known: Architecture, path: Path) -> dict[str, Any]:
    """Arguments of timm's networks for the layers that are not of its usual kind."""
    activation = _ACTIVATIONS.get(known.activation)
    if activation is None:
        raise ConfigError(
            f"{path}: hidden_act must be {', '.join(_ACTIVATIONS)}, got {known.activation}. Pass another network."
        )
    return {"norm_layer": partial(nn.LayerNorm, eps=known.epsilon), "act_layer": activation}


def _refuse_odd_blocks(state: State, depth: int, width: int, path: Path) -> None:
    """Refuse blocks that are not all of one form, before memory is taken for as many as there are.

    Raises:
        ConfigError: naming what is missing or of another shape.
    """
    hidden = state["blocks.0.mlp.fc1.weight"].shape[0]
    weights = {"attn.qkv": (3 * width, width), "attn.proj": (width, width), "mlp.fc1": (hidden, width)}
    weights |= {"mlp.fc2": (width, hidden)}
    names = {f"blocks.{block}.{layer}.weight": shape for block in range(depth) for layer, shape in weights.items()}
    if missing := [name for name in names if name not in state]:
        raise ConfigError(f"{path} does not fit the network; missing: {', '.join(missing[:4])}; pass a whole file")
    if odd := [name for name, shape in names.items() if tuple(state[name].shape) != shape]:
        raise ConfigError(
            f"{path} does not fit the network; {odd[0]} is {tuple(state[odd[0]].shape)} instead of {names[odd[0]]};"
            " pass the file of a network of the same form"
        )


def _count(state: State, blocks: str) -> int:
    """How many blocks there are of a kind."""
    return len({name.split(".")[1] for name in state if name.startswith(f"{blocks}.")})
