"""Attention in float32 inside a network that computes in half precision."""

from functools import cache

import torch
from timm.layers.attention import Attention
from timm.models.cait import ClassAttn, TalkingHeadAttn
from torch import Tensor, nn

from deit.config.errors import ConfigError

ATTENTION = (Attention, ClassAttn, TalkingHeadAttn)


class _InFloat32(nn.Module):
    def forward(self, x: Tensor, *args: object, **kwargs: object) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float(), *args, **kwargs)


@cache
def _in_float32(attention: type[nn.Module]) -> type[nn.Module]:
    return type(f"Float32{attention.__name__}", (_InFloat32, attention), {})


def attention_in_float32(net: nn.Module) -> None:
    """Let every attention of ``net`` compute in float32 under autocast, in place.

    In float16 the products of queries and keys overflow first (official issue 29). Modules change their class and
    nothing else: names in a state dict stay, and copies of the network behave alike.

    Raises:
        ConfigError: if it has no attention of timm's transformers.
    """
    found: list[nn.Module] = [module for module in net.modules() if isinstance(module, ATTENTION)]
    if not found:
        raise ConfigError(
            f"model.float32_attention=true, but {type(net).__name__} has no attention that is known here;"
            " pass model.float32_attention=false or trainer.precision=32-true"
        )
    for module in found:
        module.__class__ = _in_float32(type(module))
