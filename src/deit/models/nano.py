"""Teachers at nano scale: the families of the paper's teachers, a fraction as wide, for images of a few dozen pixels.

Depths and the proportions between layers stay those of the published networks. The stem keeps the resolution, so
that 28 pixels still are 2 x 2 or more at the end; a published stem would leave a single one.
"""

import re
from dataclasses import replace

from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.efficientnet import EfficientNet
from timm.models.regnet import RegNet, model_cfgs
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor, nn

from deit.config.errors import ConfigError
from deit.config.network import Model, Scale
from deit.models.vit import build_transformer

_WIDTH = 1 / 8
_EFFICIENTNET_WIDTH = 1 / 4  # an eighth would leave some layers a single channel

_DEIT = re.compile(r"deit_(tiny|small|base)(_distilled)?_patch16_(224|384)")
_REGNET = re.compile(r"regnet[xy]_\d{3}")
_DEIT_HEADS = {"tiny": 3, "small": 6, "base": 12}  # DeiT, Table 1
_RESNET_LAYERS = {  # He et al. 2015, Table 1
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}
_EFFICIENTNET_FACTORS = {  # width and depth over B0's: Tan and Le 2019, compound scaling as published
    "efficientnet_b0": (1.0, 1.0),
    "efficientnet_b1": (1.0, 1.1),
    "efficientnet_b2": (1.1, 1.2),
    "efficientnet_b3": (1.2, 1.4),
    "efficientnet_b4": (1.4, 1.8),
    "efficientnet_b5": (1.6, 2.2),
    "efficientnet_b6": (1.8, 2.6),
    "efficientnet_b7": (2.0, 3.1),
}
_EFFICIENTNET_STAGES = (  # Tan and Le 2019, Table 1: expansion, channels, layers, stride, kernel
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def has_nano_form(name: str) -> bool:
    """Whether the network that timm calls ``name``, with or without a tag, has a small form of ours."""
    variant = name.split(".")[0]
    if _REGNET.fullmatch(variant):
        return variant in model_cfgs
    return variant in _RESNET_LAYERS or variant in _EFFICIENTNET_FACTORS or _DEIT.fullmatch(variant) is not None


def build_nano(name: str, scale: Scale, *, width: float | None, image_size: int, num_classes: int) -> nn.Module:
    """The small form of ``name`` with fresh weights: normalised (B, 3, S, S) to (B, num_classes) logits.

    width: over the published network's, in (0, 1]; None: what suits the family. A DeiT takes no heed of it: as for
    students, its width is its heads times the scale's head_dim. Raises ConfigError where patches do not fill its image.
    """
    variant = name.split(".")[0]
    if width is None:
        width = _EFFICIENTNET_WIDTH if variant in _EFFICIENTNET_FACTORS else _WIDTH
    if match := _DEIT.fullmatch(variant):
        return _deit(match[1], match[2] is not None, scale, image_size, num_classes)
    if variant in _RESNET_LAYERS:
        net = _resnet(variant, width, num_classes)
    elif variant in _EFFICIENTNET_FACTORS:
        net = _efficientnet(variant, width, num_classes)
    else:
        net = _regnet(variant, width, num_classes)
    _subsample_first(net)
    return net


def _deit(size: str, token: bool, scale: Scale, image_size: int, num_classes: int) -> nn.Module:
    patch = scale.patch_size
    if image_size % patch:
        raise ConfigError(
            f"the teacher's image of {image_size} pixels does not divide into patches of {patch}; possible:"
            f" multiples of {patch}; pass teacher.image_size={max(image_size // patch, 1) * patch}"
        )
    model = Model(name=f"deit_{size}", heads=_DEIT_HEADS[size])
    return build_transformer(model, scale, image_size=image_size, token=token, num_classes=num_classes)


def _regnet(variant: str, width: float, num_classes: int) -> nn.Module:
    cfg = model_cfgs[variant]
    first = max(8, round(cfg.w0 * width / 8) * 8)  # RegNets quantise widths to multiples of 8
    narrow = replace(
        cfg,
        w0=first,
        # The slope follows the rounded first width: their ratio decides how many blocks each stage gets.
        wa=cfg.wa * first / cfg.w0,
        group_size=max(1, round(cfg.group_size * width)),
        stem_width=max(4, round(cfg.stem_width * width)),  # fewer than the 3 colours would lose some of them
    )
    net = RegNet(narrow, num_classes=num_classes)
    _keep_resolution(net.get_submodule("stem.conv"))
    return net


def _resnet(variant: str, width: float, num_classes: int) -> nn.Module:
    block, layers = _RESNET_LAYERS[variant]
    stem = max(4, round(64 * width / 2) * 2)  # even, as the deep stem is asked for by its half
    channels = (stem, 2 * stem, 4 * stem, 8 * stem)
    # timm sets the width of the stem's output free only for its deep stem, which then gives way to a single layer.
    net = ResNet(block, layers, num_classes, channels=channels, stem_type="deep", stem_width=stem // 2)
    net.conv1 = nn.Conv2d(3, stem, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")  # as timm's ResNet has it
    net.maxpool = nn.Identity()
    return net


def _efficientnet(variant: str, width: float, num_classes: int) -> nn.Module:
    channel_factor, depth_factor = _EFFICIENTNET_FACTORS[variant]

    def narrowed(channels: int) -> int:
        # Even counts; the published multiples of 8 would put half of a narrow network at the same width. At least 4:
        # squeeze and excitation reduces its input to a quarter.
        return round_channels(channels, channel_factor * width, divisor=2, channel_min=4)

    stages = [
        [f"{'ir' if e > 1 else 'ds'}_r{layers}_k{k}_s{stride}_e{e}_c{channels}_se0.25"]
        for e, channels, layers, stride, k in _EFFICIENTNET_STAGES
    ]
    net = EfficientNet(
        decode_arch_def(stages, depth_factor),
        num_classes=num_classes,
        num_features=narrowed(1280),
        round_chs_fn=narrowed,
        act_layer=nn.SiLU,
    )
    _keep_resolution(net.conv_stem)
    return net


def _subsample_first(net: nn.Module) -> None:
    """Let convolutions of one pixel that skip every other pixel see those that are left: the same result.

    On a CPU the gradient of the strided form, channels last and with channels that are no multiple of 16, writes beyond
    its memory from about 56 pixels on (oneDNN, seen in PyTorch 2.14.1): a crash in some later step.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1) and module.stride == (2, 2):
            module.stride = (1, 1)
            module.register_forward_pre_hook(_every_other)


def _every_other(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0][..., ::2, ::2],)


def _keep_resolution(stem: nn.Module) -> None:
    assert isinstance(stem, nn.Conv2d)
    stem.stride = (1, 1)
