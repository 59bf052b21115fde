"""The network as a folder in timm's layout: model.safetensors, and config.json that says how timm builds it.

Shapes: P positions, N patches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from timm.models.cait import Cait
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from deit.config.checkpoint_source import EXPORTED
from deit.config.errors import ConfigError
from deit.export.answer import Answer, differences, refuse_another
from deit.export.folder import write_json
from deit.models.class_names import readable
from deit.models.files import save_weights
from deit.models.networks import card
from deit.models.trained import Trained, read_trained

FILE = "model.safetensors"
OTHERS = "pass format=onnx or format=torch"

_DEIT = {3: "tiny", 6: "small", 12: "base"}  # by heads, which are the same at every scale: DeiT, Table 1
_DEIT3 = {6: "small", 8: "medium", 12: "base", 16: "large"}
_CAIT = {4: "xxs24_224", 6: "xs24_384", 8: "s24_224"}
_STRUCTURE = ("fixed_input_size", "pool_size", "first_conv", "classifier")
"""What timm's record of an architecture says that does not depend on weights."""


@dataclass(frozen=True)
class Form:
    """What timm.create_model is to be told."""

    architecture: str
    arguments: dict[str, object]


def form_of(trained: Trained) -> Form:
    """How timm builds the network of ``trained``.

    Raises:
        ConfigError: if it cannot.
    """
    net, size = trained.student.net, trained.image_size
    record: Mapping[str, object] = getattr(net, "pretrained_cfg", {})  # where timm has built it
    name = cast(str | None, record.get("architecture"))
    if isinstance(net, VisionTransformerDistilled) and net.no_embed_class:
        raise ConfigError(
            f"{trained.name} is a distilled DeiT III, which timm builds with positions for its two tokens, and it has"
            f" none; {OTHERS}"
        )
    if isinstance(net, VisionTransformer) and (name is None or name.startswith("deit")):
        return Form(name or _deit_name(net), _shape(net, size))
    if isinstance(net, Cait):
        assert net.blocks_token_only is not None
        shape = _shape(net, size) | {"depth_token_only": len(net.blocks_token_only)}
        return Form(name or f"cait_{_CAIT.get(_heads(net), _CAIT[4])}", shape)
    if name is None:
        raise ConfigError(f"{trained.name} is a {type(net).__name__} at nano scale, which timm cannot build; {OTHERS}")
    return Form(name, {"img_size": size} if record["fixed_input_size"] else {})


def _deit_name(net: VisionTransformer) -> str:
    heads, distilled = _heads(net), isinstance(net, VisionTransformerDistilled)
    if net.no_embed_class and _has_layer_scale(net):
        return f"deit3_{_DEIT3.get(heads, 'small')}_patch16_224"
    return f"deit_{_DEIT.get(heads, 'tiny')}{'_distilled' if distilled else ''}_patch16_224"


def _heads(net: nn.Module) -> int:
    return cast(int, net.get_submodule("blocks.0.attn").num_heads)


def _has_layer_scale(net: nn.Module) -> bool:
    return any(name.endswith(("ls1.gamma", "gamma_1")) for name, _ in net.named_parameters())


def _shape(net: VisionTransformer | Cait, size: int) -> dict[str, object]:
    """All that shapes a transformer, for an architecture's name stands for its size at paper scale."""
    shape: dict[str, object] = {
        "img_size": size,
        "patch_size": net.get_parameter("patch_embed.proj.weight").shape[-1],
        "embed_dim": net.embed_dim,
        "depth": len(net.blocks),
        "num_heads": _heads(net),
        "mlp_ratio": net.get_parameter("blocks.0.mlp.fc1.weight").shape[0] / net.embed_dim,
    }
    if isinstance(net, VisionTransformer):
        shape["no_embed_class"] = net.no_embed_class
        if _has_layer_scale(net):
            shape["init_values"] = 1e-5  # that there are such factors; the weights say which
    return shape


def config(trained: Trained, form: Form) -> dict[str, object]:
    """What config.json holds: timm's fields, and what it has none for, the fusion of two heads and whether photographs
    are turned upright."""
    inputs = trained.inputs
    record = getattr(trained.student.net, "pretrained_cfg", None)
    record = record or vars(card(form.architecture, "architecture"))
    names = {name: readable(name) for name in trained.classes}
    described = {name: text for name, text in names.items() if text != name}
    fusion = {"fusion": trained.fusion.value} if trained.student.two_heads else {}
    return {
        "architecture": form.architecture,
        "num_classes": len(trained.classes),
        "num_features": trained.student.net.num_features,
        "label_names": list(trained.classes),
        **({"label_descriptions": described} if described else {}),
        "model_args": form.arguments,
        **fusion,
        "upright": trained.upright,
        "pretrained_cfg": {
            **{key: record.get(key) for key in _STRUCTURE},
            "custom_load": False,
            "num_classes": len(trained.classes),
            "input_size": [3, trained.image_size, trained.image_size],
            "interpolation": "bicubic",
            "crop_pct": trained.crop,
            "crop_mode": "center",
            "mean": list(inputs.mean),
            "std": list(inputs.std),
        },
    }


def save(trained: Trained, form: Form, answer: Answer, folder: Path) -> dict[int, float]:
    """Write the folder's two files, have timm load them, and compare: the largest difference by batch size.

    Raises:
        ConfigError: if timm builds another network.
        RunError: if it answers otherwise, or the disk does not take it.
    """
    net = trained.student.net
    write_json(folder / EXPORTED, config(trained, form))
    save_weights(folder / FILE, net.state_dict(), {"format": "pt", **trained.inputs.metadata()})
    another = ConfigError(f"timm's {form.architecture} is another network than {trained.name}; {OTHERS}")
    try:
        again = read_trained(folder)
    except ConfigError:
        raise another from None
    loaded, own = again.student.net.state_dict(), net.state_dict()
    if loaded.keys() != own.keys() or not all(torch.equal(loaded[name], own[name]) for name in own):
        raise another
    found = differences(Answer(again, preprocess=answer.preprocess), answer)
    refuse_another(found, FILE)
    return found
