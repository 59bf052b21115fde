"""Weights of other code bases: the logits are those of the network that the file belongs to."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.models.cait import Cait
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from deit.config.errors import ConfigError
from deit.config.network import Family, Model, Resampling, Scale
from deit.models.files import read_metadata, read_state
from deit.models.positions import resample_positions
from deit.models.students import Student, build_student
from deit.models.vit import build_transformer
from deit.models.weights import load_student, save_student

SHAPE = {"img_size": 28, "patch_size": 4, "embed_dim": 48, "depth": 6, "num_heads": 3, "num_classes": 10}
NANO = Scale(name="nano", head_dim=16, depth=6, patch_size=4, image_size=28, shrink=8)
MODELS = {
    "deit": Model(name="deit_ti", heads=3, drop_path=0),
    "deit3": Model(name="deit3", family=Family.deit3, heads=3, layer_scale=1e-4, drop_path=0, drop_path_grows=False),
    "cait": Model(name="cait", family=Family.cait, heads=4, head_dim=48, depth=24, layer_scale=1e-5, drop_path=0),
}


def scrambled(net: nn.Module) -> nn.Module:
    """``net`` with every weight drawn anew, so that nothing is right by being zero or one."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return net


def plain() -> nn.Module:
    return scrambled(VisionTransformer(**SHAPE))


def distilled() -> nn.Module:
    net = VisionTransformerDistilled(**SHAPE)
    net.set_distilled_training(True)
    return scrambled(net)


def deit3() -> nn.Module:
    return scrambled(VisionTransformer(**SHAPE, init_values=1e-4, no_embed_class=True))


def cait() -> nn.Module:
    return scrambled(Cait(**SHAPE | {"depth": 12, "num_heads": 4}, init_values=1e-5))


def student(family: str = "deit", *, token: bool = False, size: int = 28, classes: int = 10) -> Student:
    return build_student(
        MODELS[family], NANO, image_size=size, token=token, num_classes=classes, mean=(0, 0, 0), std=(1, 1, 1)
    )


def hugging_face(state: dict[str, Tensor], *, in_memory: bool, teacher: bool) -> dict[str, Tensor]:
    """``state`` of a DeiT under Hugging Face's names: those of its files, or those of release 5 in memory."""
    layer, attention = ("layers", "attention") if in_memory else ("encoder.layer", "attention.attention")
    short = {"query": "q_proj", "key": "k_proj", "value": "v_proj"} if in_memory else {}
    renames = [
        ("cls_token", "deit.embeddings.cls_token"),
        ("dist_token", "deit.embeddings.distillation_token"),
        ("pos_embed", "deit.embeddings.position_embeddings"),
        (r"patch_embed\.proj", "deit.embeddings.patch_embeddings.projection"),
        (r"blocks\.(\d+)\.norm1", rf"deit.{layer}.\1.layernorm_before"),
        (r"blocks\.(\d+)\.norm2", rf"deit.{layer}.\1.layernorm_after"),
        (r"blocks\.(\d+)\.attn\.proj", rf"deit.{layer}.\1.attention." + ("o_proj" if in_memory else "output.dense")),
        (r"blocks\.(\d+)\.mlp\.fc1", rf"deit.{layer}.\1." + ("mlp.fc1" if in_memory else "intermediate.dense")),
        (r"blocks\.(\d+)\.mlp\.fc2", rf"deit.{layer}.\1." + ("mlp.fc2" if in_memory else "output.dense")),
        (r"^norm\.", "deit.layernorm."),
        (r"^head\.", "cls_classifier." if teacher else "classifier."),
        (r"^head_dist\.", "distillation_classifier."),
    ]
    renamed = {}
    for name, tensor in state.items():
        if match := re.match(r"blocks\.(\d+)\.attn\.qkv\.(\w+)", name):
            for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                renamed[f"deit.{layer}.{match[1]}.{attention}.{short.get(part, part)}.{match[2]}"] = piece.clone()
            continue
        for pattern, replacement in renames:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """DeiT III's own names for its learnt factors."""
    return {re.sub(r"ls([12])\.gamma", r"gamma_\1", name): tensor for name, tensor in state.items()}


LAYOUTS = {
    "official plain": ("deit", False, plain, lambda s: {"model": s}),
    "official distilled": ("deit", True, distilled, lambda s: {"model": s}),
    "average of the official code": ("deit", True, distilled, lambda s: {"model_ema": s}),
    "timm": ("deit", False, plain, lambda s: s),
    "Hugging Face's file": ("deit", True, distilled, lambda s: hugging_face(s, in_memory=False, teacher=True)),
    "Hugging Face's release 5": ("deit", True, distilled, lambda s: hugging_face(s, in_memory=True, teacher=True)),
    "Hugging Face's plain": (
        "deit", False, plain,
        lambda s: {n.replace("deit.", "vit."): t for n, t in hugging_face(s, in_memory=False, teacher=False).items()},
    ),
    "our checkpoint": (
        "deit", True, distilled,
        lambda s: {"state_dict": {f"student.net.{name}": tensor for name, tensor in s.items()}},
    ),
    "official DeiT III": ("deit3", False, deit3, lambda s: {"model": official(s)}),
    "timm's DeiT III": ("deit3", False, deit3, lambda s: s),
    "CaiT": ("cait", False, cait, lambda s: {"model": {f"module.{n}": t for n, t in s.items()}}),
    "a matrix of patches": (
        "deit", False, plain,
        lambda s: s
        | {"patch_embed.proj.weight": s["patch_embed.proj.weight"].flatten(1), "pre_logits.fc.bias": s["norm.bias"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_logits_are_those_of_the_reference_in_training_and_evaluation(layout: str, tmp_path: Path) -> None:
    family, token, reference, wrap = LAYOUTS[layout]
    net = reference()
    torch.save(wrap(net.state_dict()), tmp_path / "a.pth")
    ours = student(family, token=token)
    report = load_student(ours, tmp_path / "a.pth")
    assert not report.initialised
    assert not report.resampled
    assert set(report.dropped) <= {"pre_logits.fc.bias"}
    images = torch.rand(3, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    for training in (True, False):
        expected = net.train(training)(images)
        classes, distill = ours.train(training)(images)
        if not token:
            assert torch.allclose(classes, expected, atol=1e-5)
        elif training:  # two outputs
            assert torch.allclose(classes, expected[0], atol=1e-5)
            assert torch.allclose(distill, expected[1], atol=1e-5)
        else:  # their mean
            assert torch.allclose((classes + distill) / 2, expected, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224"]
)
def test_a_saved_student_is_a_file_of_timms(name: str, tmp_path: Path, paper: Scale) -> None:
    model = (
        Model(name="d", family=Family.deit3, heads=6, layer_scale=1e-4, drop_path=0)
        if "deit3" in name
        else Model(name="d", heads=3, drop_path=0)
    )
    ours = build_student(
        model, paper, image_size=224, token="distilled" in name, num_classes=7, mean=(0, 0, 0), std=(1, 1, 1)
    ).eval()
    scrambled(ours.net)
    save_student(tmp_path / "a.safetensors", ours)
    theirs = timm.create_model(name, checkpoint_path=str(tmp_path / "a.safetensors"), num_classes=7).eval()
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        classes, distill = ours(images)
        assert torch.allclose(theirs(images), classes if distill is None else (classes + distill) / 2, atol=1e-5)
    assert read_metadata(tmp_path / "a.safetensors")["num_classes"] == "7"


@pytest.mark.parametrize("family", ["deit3", "cait"])
def test_families_without_positions_for_tokens_are_resampled_too(family: str, tmp_path: Path) -> None:
    net = {"deit3": deit3, "cait": cait}[family]()
    torch.save(net.state_dict(), tmp_path / "a.pth")
    larger = student(family, size=48, classes=4)
    report = load_student(larger, tmp_path / "a.pth")
    assert report.resampled == ("pos_embed",)
    assert set(report.initialised) == {"head.weight", "head.bias"}
    expected = resample_positions(net.pos_embed.detach(), (7, 7), (12, 12), 0)
    assert torch.equal(larger.net.pos_embed, expected)


def test_deit_iii_gains_and_loses_a_token(tmp_path: Path) -> None:
    torch.save(deit3().state_dict(), tmp_path / "plain.pth")
    two = student("deit3", token=True)
    report = load_student(two, tmp_path / "plain.pth")
    of_the_token = {"dist_token", "head_dist.weight", "head_dist.bias"}
    assert set(report.initialised) == of_the_token
    assert torch.equal(two.net.dist_token, two.net.cls_token)
    save_student(tmp_path / "two.safetensors", two)
    back = student("deit3")
    assert set(load_student(back, tmp_path / "two.safetensors").dropped) == {
        "dist_token",
        "head_dist.weight",
        "head_dist.bias",
    }
    assert all(torch.equal(t, back.net.state_dict()[n]) for n, t in read_state(tmp_path / "plain.pth").items())


@pytest.mark.parametrize(
    ("file", "family", "asked"), [(deit3, "deit", "model=deit3_s"), (plain, "deit3", "model=deit_s")]
)
def test_a_file_of_another_family_says_which_model_it_is_for(
    file: Callable[[], nn.Module], family: str, asked: str, tmp_path: Path
) -> None:
    torch.save(file().state_dict(), tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=f"position, unlike this student.*{asked}"):
        load_student(student(family), tmp_path / "a.pth")


def test_a_grid_that_is_not_square_is_filled_and_read(tmp_path: Path) -> None:
    torch.save(plain().state_dict(), tmp_path / "square.pth")
    wide = student()
    wide.net = VisionTransformer(**SHAPE | {"img_size": (20, 36)})  # 5 x 9 patches
    assert load_student(wide, tmp_path / "square.pth").resampled == ("pos_embed",)
    assert wide.net.pos_embed.shape == (1, 1 + 45, 48)
    save_student(tmp_path / "wide.safetensors", wide)
    again = student()
    again.net = VisionTransformer(**SHAPE | {"img_size": (20, 36)})
    assert load_student(again, tmp_path / "wide.safetensors").resampled == ()
    with pytest.raises(ConfigError, match="45 patches, which make no square grid"):
        load_student(student(), tmp_path / "wide.safetensors")


def test_positions_are_resampled_by_the_method_of_that_name(tmp_path: Path) -> None:
    net = plain()
    torch.save(net.state_dict(), tmp_path / "a.pth")
    by_timm, official_way = student(size=48), student(size=48)
    load_student(by_timm, tmp_path / "a.pth", positions=Resampling.timm)
    load_student(official_way, tmp_path / "a.pth")
    theirs = resample_abs_pos_embed(net.pos_embed.detach(), (12, 12), num_prefix_tokens=1)
    assert torch.allclose(by_timm.net.pos_embed, theirs, atol=1e-6)
    prefix, grid = net.pos_embed.detach()[:, :1], net.pos_embed.detach()[:, 1:]
    image = grid.reshape(1, 7, 7, 48).permute(0, 3, 1, 2)  # main.py of the official code, step by step
    image = F.interpolate(image, size=(12, 12), mode="bicubic", align_corners=False)
    expected = torch.cat((prefix, image.permute(0, 2, 3, 1).flatten(1, 2)), dim=1)
    assert torch.equal(official_way.net.pos_embed, expected)
    assert not torch.allclose(by_timm.net.pos_embed, expected, atol=1e-3)


def test_the_average_is_taken_on_request_only(tmp_path: Path) -> None:
    raw, average = plain().state_dict(), {n: t + 1 for n, t in plain().state_dict().items()}
    both = {f"student.net.{n}": t for n, t in raw.items()} | {f"average.module.net.{n}": t for n, t in average.items()}
    torch.save({"state_dict": both}, tmp_path / "ours.ckpt")
    torch.save({"model": raw, "model_ema": average}, tmp_path / "official.pth")
    for name in ("ours.ckpt", "official.pth"):
        assert torch.equal(read_state(tmp_path / name)["norm.bias"], raw["norm.bias"])
        assert torch.equal(read_state(tmp_path / name, ema=True)["norm.bias"], average["norm.bias"])
        assert read_state(tmp_path / name, ema=True).keys() == raw.keys()
    torch.save({"model": raw}, tmp_path / "single.pth")
    with pytest.raises(ConfigError, match=r"holds no averaged weights.*init_ema=false"):
        load_student(student(), tmp_path / "single.pth", ema=True)


def test_any_classifier_of_timm_takes_its_weights_and_keeps_a_head_of_other_classes(tmp_path: Path) -> None:
    model = Model(name="timm", family=Family.timm, net="resnet18", drop_path=0)

    def built(classes: int) -> Student:
        return build_student(
            model, NANO, image_size=28, token=False, num_classes=classes, mean=(0, 0, 0), std=(1, 1, 1)
        )

    torch.save(built(10).net.state_dict(), tmp_path / "a.pth")
    assert not load_student(built(10), tmp_path / "a.pth").initialised
    report = load_student(built(3), tmp_path / "a.pth")
    assert set(report.initialised) == set(report.dropped) == {"fc.weight", "fc.bias"}


def test_published_weights_that_cannot_be_had_name_init(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("deit.models.published._already_here", lambda card: None)
    monkeypatch.setattr("deit.models.published._download", lambda card: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(ConfigError, match=r"no network.*pass init=<file>, such as deit_tiny_patch16_224-a1311bcf\.pth"):
        load_student(student(), "timm:deit_tiny_patch16_224.fb_in1k")
    with pytest.raises(ConfigError, match="timm has no network called deit_huge"):
        load_student(student(), "timm:deit_huge")


def test_the_official_resampling_keeps_the_norm_of_the_vectors() -> None:
    """From 14 x 14 to 24 x 24, on fields as smooth as trained positions are: neighbours resemble each other."""
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.linspace(0, 1, 14), torch.linspace(0, 1, 14), indexing="ij")
    waves = torch.rand(192, 3, 1, 1) * torch.tensor([9.0, 9.0, 6.28]).view(1, 3, 1, 1)
    grid = torch.cos(waves[:, 0] * y + waves[:, 1] * x + waves[:, 2]) + 0.1 * torch.randn(192, 14, 14)
    positions = torch.cat((torch.zeros(1, 1, 192), grid.flatten(1).T[None]), dim=1)
    before = positions[:, 1:].norm(dim=-1).mean()
    bicubic = resample_positions(positions, (14, 14), (24, 24), 1)[:, 1:].norm(dim=-1).mean()
    bilinear = F.interpolate(grid[None], (24, 24), mode="bilinear").flatten(2).norm(dim=1).mean()
    assert abs(bicubic / before - 1) < 0.02
    assert bilinear < bicubic, "the paper's reason for bicubic (section 3)"


def test_networks_of_the_newer_families_are_timms(paper: Scale) -> None:
    published = {
        "deit3_small_patch16_224": Model(name="s", family=Family.deit3, heads=6, layer_scale=1e-4),
        "deit3_medium_patch16_224": Model(name="m", family=Family.deit3, heads=8, layer_scale=1e-4),
        "deit3_large_patch16_224": Model(name="l", family=Family.deit3, heads=16, depth=24, layer_scale=1e-4),
        "cait_xxs24_224": Model(name="xxs", family=Family.cait, heads=4, head_dim=48, depth=24, layer_scale=1e-5),
        "cait_s24_224": Model(name="s24", family=Family.cait, heads=8, head_dim=48, depth=24, layer_scale=1e-5),
    }
    with torch.device("meta"):
        for name, model in published.items():
            ours = build_transformer(model, paper, image_size=224, token=False, num_classes=1000).state_dict()
            theirs = timm.create_model(name).state_dict()
            assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in theirs.items()}, name
