"""Whatever a trained network comes from, it answers as the network that was saved."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.cait import Cait
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from deit.config import rules
from deit.config.errors import ConfigError
from deit.config.network import Scale
from deit.config.schema import Config
from deit.config.teaching import Teacher, TeacherSource
from deit.models.class_names import imagenet_classes
from deit.models.description import DESCRIPTION, describe
from deit.models.files import save_weights
from deit.models.students import build_student
from deit.models.teachers import build_teacher
from deit.models.trained import IMAGENET, OFFICIAL_CROP, Trained, read_trained
from deit.models.weights import load_student
from deit.training.run import make_student

SHAPE = {"img_size": 32, "patch_size": 8, "embed_dim": 128, "depth": 2, "num_heads": 2, "num_classes": 10}
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
DIGITS = tuple("0123456789")


def scrambled(net: nn.Module) -> nn.Module:
    """``net`` with every weight drawn anew, so that nothing is right by being zero or one."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return net.eval()


def deit3() -> nn.Module:
    return VisionTransformer(**SHAPE, init_values=1e-4, no_embed_class=True)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "DeiT": lambda: VisionTransformer(**SHAPE),
    "distilled DeiT": lambda: VisionTransformerDistilled(**SHAPE),
    "DeiT III": deit3,
    "CaiT": lambda: Cait(**SHAPE | {"embed_dim": 96}, depth_token_only=2),
}


def official(net: nn.Module) -> dict[str, Tensor]:
    """The state of ``net`` under the names of the official code, which calls DeiT III's factors otherwise."""
    return {re.sub(r"\.ls(\d)\.gamma$", r".gamma_\1", name): tensor for name, tensor in net.state_dict().items()}


def timm_answer(net: nn.Module, images: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET.mean, IMAGENET.std))
    with torch.no_grad():
        return net((images - mean) / std)


def answer(trained: Trained, images: Tensor) -> Tensor:
    """What timm's own forward would say: the mean of two heads."""
    with torch.no_grad():
        classes, distill = trained.student(images)
    return classes if distill is None else (classes + distill) / 2


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_an_official_file_answers_as_timms_network(name: str, suffix: str, tmp_path: Path) -> None:
    net = scrambled(NETWORKS[name]())
    file = tmp_path / f"weights.{suffix}"
    if suffix == "pth":
        torch.save({"model": official(net), "epoch": 299}, file)
    else:
        save_file({key: tensor.contiguous() for key, tensor in official(net).items()}, file)
    trained = read_trained(file)
    torch.testing.assert_close(answer(trained, IMAGES), timm_answer(net, IMAGES), rtol=0, atol=1e-5)
    assert (trained.name, trained.image_size, trained.crop) == ("weights", 32, OFFICIAL_CROP)
    assert trained.classes == tuple(map(str, range(10)))
    assert trained.student.two_heads == (name == "distilled DeiT")
    assert not trained.has_average


def test_averaged_weights_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    raw, averaged = scrambled(NETWORKS["DeiT"]()), NETWORKS["DeiT"]().eval()
    torch.save({"model": raw.state_dict(), "model_ema": averaged.state_dict()}, tmp_path / "both.pth")
    for net, ema in ((raw, False), (averaged, True)):
        trained = read_trained(tmp_path / "both.pth", ema=ema)
        assert trained.has_average
        torch.testing.assert_close(answer(trained, IMAGES), timm_answer(net, IMAGES), rtol=0, atol=1e-5)


def test_a_file_of_a_thousand_classes_names_them(tmp_path: Path) -> None:
    torch.save({"model": VisionTransformer(**SHAPE | {"num_classes": 1000}).state_dict()}, tmp_path / "thousand.pth")
    assert read_trained(tmp_path / "thousand.pth").classes == imagenet_classes(1000)


def left_by_a_run(folder: Path, config: Config) -> nn.Module:
    """checkpoints/best.ckpt as a run of ``config`` leaves it, and the network whose weights it holds."""
    student = build_student(
        config.model,
        config.scale,
        image_size=config.image_size,
        token=config.token,
        num_classes=10,
        mean=config.data.mean,
        std=config.data.std,
    )
    net = scrambled(student.net)
    state = {f"student.net.{name}": tensor for name, tensor in net.state_dict().items()}
    file = folder / "checkpoints" / "best.ckpt"
    file.parent.mkdir(parents=True)
    torch.save({"state_dict": state, DESCRIPTION: describe(config, DIGITS)}, file)
    return net


@pytest.mark.parametrize("source", [".", "checkpoints/best.ckpt"])
def test_a_run_says_what_its_checkpoint_is(config: Callable[..., Config], source: str, tmp_path: Path) -> None:
    made_with = config("distill=hard", "scale.depth=1", "distill.fusion=logits", "augment.eval_crop=0.9")
    net = left_by_a_run(tmp_path / "mine", made_with)
    trained = read_trained(tmp_path / "mine" / source)
    assert (trained.name, trained.classes, trained.crop) == ("mine", DIGITS, 0.9)
    assert (trained.config, trained.fusion) == (made_with, made_with.distill.fusion)
    images = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(answer(trained, images), timm_answer(net, images), rtol=0, atol=1e-5)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda content: b"",
    "halved": lambda content: content[: len(content) // 2],
    "zeroed": lambda content: bytes(len(content)),
    "one bit": lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_of_a_runs_corrupt_checkpoint_it_is_said_what_is_lost(
    config: Callable[..., Config], damage: str, tmp_path: Path
) -> None:
    left_by_a_run(tmp_path / "mine", config("distill=none", "teacher=none", "scale.depth=1"))
    file = tmp_path / "mine/checkpoints/best.ckpt"
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    with pytest.raises(ConfigError, match=r"best\.ckpt is corrupt.*weights of that epoch are lost.*resume=never"):
        read_trained(tmp_path / "mine")


def test_a_runs_folder_gives_the_weights_to_start_from(config: Callable[..., Config], tmp_path: Path) -> None:
    settings = config("distill=hard", "scale.depth=1", f"init={tmp_path / 'mine'}")
    net = left_by_a_run(tmp_path / "mine", settings)
    assert not [text for text in rules.problems(settings) if "init" in text]
    student = make_student(settings, num_classes=10)
    report = load_student(student, str(settings.init))
    assert set(report.loaded) == set(net.state_dict())
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in student.net.state_dict().items())
    (tmp_path / "mine/checkpoints/best.ckpt").unlink()
    assert any("mine is a folder without checkpoints/best.ckpt" in text for text in rules.problems(settings))


@pytest.mark.parametrize(
    ("data", "upright"),
    [
        (("data=folder", "data.num_classes=10"), True),
        (("data=folder", "data.num_classes=10", "data.upright=false"), False),
        (("data=imagenet",), True),
        (("data=digits",), True),  # which stand upright, without EXIF
    ],
)
def test_a_run_says_how_its_images_stood(
    config: Callable[..., Config], data: tuple[str, ...], upright: bool, tmp_path: Path
) -> None:
    left_by_a_run(tmp_path / "mine", config("scale.depth=1", *data))
    assert read_trained(tmp_path / "mine").upright is upright


def test_a_run_that_does_not_know_the_setting_saw_files_as_stored(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    left_by_a_run(tmp_path / "mine", config("scale.depth=1", "data=folder", "data.num_classes=10"))
    file = tmp_path / "mine/checkpoints/best.ckpt"
    content = torch.load(file, weights_only=True)
    del content[DESCRIPTION]["config"]["data"]["upright"]
    torch.save(content, file)
    assert not read_trained(tmp_path / "mine").upright


def test_a_teacher_that_was_fitted_says_what_it_is(nano: Scale, tmp_path: Path) -> None:
    teacher = Teacher(name="regnety_040", nano_width=0.05)
    inputs = {"image_size": 28, "num_classes": 10, "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    network = build_teacher(teacher, nano, **inputs, source=TeacherSource.random).eval()
    scale = {name: getattr(nano, name) for name in ("name", "head_dim", "depth", "patch_size", "image_size", "shrink")}
    form = {"scale": scale, "nano_width": 0.05, "classes": DIGITS, "crop": 1.0}
    metadata = {"name": teacher.name, "form": json.dumps(form), **network.preprocess.inputs.metadata()}
    save_weights(tmp_path / "teacher.safetensors", network.net.state_dict(), metadata)
    trained = read_trained(tmp_path / "teacher.safetensors")
    images = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(trained.student(images).classes, network(images))
    assert (trained.name, trained.classes, trained.crop) == ("regnety_040 (fitted here)", DIGITS, 1.0)
    assert trained.inputs == replace(trained.inputs, mean=inputs["mean"], std=inputs["std"], image_size=28)


def test_an_exported_folder_says_what_it_is(tmp_path: Path) -> None:
    net = scrambled(timm.create_model("deit_tiny_patch16_224", depth=1, img_size=32, num_classes=10))
    record = {"mean": [0.5] * 3, "std": [0.25] * 3, "input_size": [3, 32, 32], "crop_pct": 0.95, "num_classes": 10}
    record |= {"first_conv": "patch_embed.proj", "classifier": "head"}
    content = {
        "architecture": "deit_tiny_patch16_224",
        "num_classes": 10,
        "label_names": [f"class {number}" for number in range(10)],
        "model_args": {"depth": 1, "img_size": 32},
        "pretrained_cfg": record,
    }
    (tmp_path / "config.json").write_text(json.dumps(content))
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    trained = read_trained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(trained.student(IMAGES).classes, net((IMAGES - 0.5) / 0.25))
    assert (trained.classes[3], trained.image_size, trained.crop) == ("class 3", 32, 0.95)
    assert trained.upright, "what does not say so sees photographs as a person does"
    (tmp_path / "config.json").write_text(json.dumps(content | {"upright": False}))
    assert not read_trained(tmp_path).upright


def test_published_weights_that_cannot_be_had_ask_for_a_file_of_the_same_key(no_network: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_trained("timm:deit_tiny_patch16_224.fb_in1k", key="checkpoint")
    assert "could not be had" in str(refusal.value)
    assert "pass checkpoint=<file>, such as " in str(refusal.value)
    assert "teacher." not in str(refusal.value)


def test_published_weights_that_are_here_are_used(no_network: Path) -> None:
    net = timm.create_model("deit_tiny_patch16_224").eval()
    torch.save({"model": net.state_dict()}, no_network / "deit_tiny_patch16_224-a1311bcf.pth")
    trained = read_trained("timm:deit_tiny_patch16_224.fb_in1k")
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(answer(trained, images), timm_answer(net, images), rtol=0, atol=1e-5)
    assert (trained.image_size, trained.crop, len(trained.classes)) == (224, 0.9, 1000)


def empty_folder(folder: Path) -> str:
    folder.joinpath("run").mkdir()
    return "run"


def no_checkpoint(folder: Path) -> str:
    folder.joinpath("text.pth").write_text("hello")
    return "text.pth"


def other_network(folder: Path) -> str:
    torch.save({"model": timm.create_model("resnet18").state_dict()}, folder / "resnet.pth")
    return "resnet.pth"


def part_of_a_network(folder: Path) -> str:
    state = VisionTransformer(**SHAPE).state_dict()
    del state["blocks.1.attn.qkv.weight"]
    torch.save({"model": state}, folder / "part.pth")
    return "part.pth"


def damaged_export(folder: Path) -> str:
    (folder / "exported").mkdir()
    (folder / "exported" / "config.json").write_text("{}")
    return "exported"


WRONG = [
    (lambda _: "nowhere.pth", "nowhere.pth is no file, no folder and no network of timm; possible: a run's folder"),
    (lambda _: "timm:deit_tinny", "timm has no network called deit_tinny"),
    (empty_folder, "run is a folder without checkpoints/best.ckpt and config.json; possible: "),
    (no_checkpoint, "text.pth"),
    (other_network, "holds no DeiT, DeiT III or CaiT that shapes alone describe"),
    (part_of_a_network, "missing: blocks.1.attn.qkv.weight"),
    (damaged_export, "is no network in timm's layout"),
]


@pytest.mark.parametrize(("made", "said"), WRONG)
def test_what_is_no_network_is_named(
    made: Callable[[Path], str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as refusal:
        read_trained(made(tmp_path))
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
