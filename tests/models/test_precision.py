"""Attention in float32 under autocast: other numbers inside, the same names outside."""

import copy

import pytest
import torch

from deit.config.errors import ConfigError
from deit.config.network import Family, Model, Scale
from deit.models.students import Student, build_student

MODELS = {
    "deit": Model(name="deit", heads=3, drop_path=0),
    "cait": Model(name="cait", family=Family.cait, heads=4, head_dim=48, layer_scale=1e-5, drop_path=0),
}


def built(model: Model, nano: Scale) -> Student:
    torch.manual_seed(0)
    return build_student(model, nano, image_size=28, token=False, num_classes=10, mean=(0, 0, 0), std=(1, 1, 1))


@pytest.mark.parametrize("family", MODELS)
def test_only_attention_computes_in_float32(family: str, nano: Scale) -> None:
    half, single = (built(Model(**vars(MODELS[family]) | {"float32_attention": on}), nano) for on in (False, True))
    assert half.state_dict().keys() == single.state_dict().keys()
    seen: dict[str, set[torch.dtype]] = {"attn": set(), "mlp": set()}
    for student in (single, copy.deepcopy(single)):
        for name, module in student.net.named_modules():
            if name.endswith((".attn.proj", ".mlp.fc2")):
                part = "attn" if ".attn." in name else "mlp"
                module.register_forward_hook(lambda m, i, out, part=part: seen[part].add(out.dtype))
        with torch.autocast("cpu", torch.bfloat16):
            logits = student(torch.rand(2, 3, 28, 28)).classes
        logits.sum().backward()
    assert seen == {"attn": {torch.float32}, "mlp": {torch.bfloat16}}


@pytest.mark.parametrize("family", MODELS)
def test_in_single_precision_nothing_changes(family: str, nano: Scale) -> None:
    plain, single = (built(Model(**vars(MODELS[family]) | {"float32_attention": on}), nano) for on in (False, True))
    images = torch.rand(2, 3, 28, 28)
    assert torch.equal(plain(images).classes, single(images).classes)


def test_a_network_without_attention_is_refused(nano: Scale) -> None:
    convnet = Model(name="timm", family=Family.timm, net="resnet18", drop_path=0, float32_attention=True)
    with pytest.raises(ConfigError, match=r"has no attention.*model\.float32_attention=false"):
        built(convnet, nano)
