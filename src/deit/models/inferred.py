"""Which network a bare weights file is of, told by the shapes of its tensors.

Shapes: D width, p side of a patch, P prefix positions, N patches, K classes.
"""

import math
from pathlib import Path

from timm.models.cait import Cait
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from deit.config.errors import ConfigError
from deit.models.files import State

_HEAD_DIM, _CAIT_HEAD_DIM = 64, 48  # DeiT, Table 1; CaiT, Table 1: files do not say how many heads there are
_NEEDED = ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.mlp.fc1.weight", "head.weight")


def infer_network(state: State, path: Path) -> tuple[nn.Module, int, int]:
    """A DeiT, a DeiT III or a CaiT with fresh weights, the side of its images, and the number of its classes.

    Args:
        state: Tensors under timm's names.
        path: Their file, for messages.

    Raises:
        ConfigError: for tensors of another network.
    """
    if missing := [name for name in _NEEDED if name not in state]:
        raise ConfigError(
            f"{path} holds no DeiT, DeiT III or CaiT that shapes alone describe: {', '.join(missing)} missing; pass a"
            " run's checkpoint, an exported folder, or timm:<name>"
        )
    width, patch = state["patch_embed.proj.weight"].shape[0], state["patch_embed.proj.weight"].shape[-1]
    positions = state["pos_embed"].shape[1]
    tokens = 2 if "dist_token" in state else 1
    prefix = next((p for p in (tokens, 0) if math.isqrt(positions - p) ** 2 == positions - p), None)
    is_cait = "blocks_token_only.0.attn.q.weight" in state
    head_dim = _CAIT_HEAD_DIM if is_cait else _HEAD_DIM
    if prefix is None or width % head_dim:
        why = f"{positions} positions make no square grid" if prefix is None else f"no heads of {head_dim} make {width}"
        raise ConfigError(f"{path} is of an unknown form: {why}; pass a checkpoint of a run, which says what it is")
    image_size = patch * math.isqrt(positions - prefix)
    num_classes = state["head.weight"].shape[0]
    scale = next((state[name] for name in ("blocks.0.ls1.gamma", "blocks.0.gamma_1") if name in state), None)
    shape = {
        "img_size": image_size,
        "patch_size": patch,
        "num_classes": num_classes,
        "embed_dim": width,
        "depth": _count(state, "blocks"),
        "num_heads": width // head_dim,
        "mlp_ratio": state["blocks.0.mlp.fc1.weight"].shape[0] / width,
    }
    if is_cait:
        return Cait(**shape, depth_token_only=_count(state, "blocks_token_only")), image_size, num_classes
    build = VisionTransformerDistilled if tokens == 2 else VisionTransformer
    net = build(**shape, init_values=None if scale is None else 1e-5, no_embed_class=prefix == 0)
    if prefix == 0 and tokens == 2:
        net.pos_embed = nn.Parameter(state["pos_embed"].clone())  # timm makes room for tokens that have no position
    return net, image_size, num_classes


def _count(state: State, blocks: str) -> int:
    """How many blocks there are of a kind."""
    return len({name.split(".")[1] for name in state if name.startswith(f"{blocks}.")})
