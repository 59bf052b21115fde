"""Folders of the Hugging Face Hub, in each form in which it hands them out, answer as the network that was saved."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from test_layouts import hugging_face, scrambled
from timm.data.imagenet_info import ImageNetInfo
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from deit.config.errors import ConfigError
from deit.config.teaching import Fusion
from deit.models.class_names import imagenet_classes
from deit.models.files import read_state
from deit.models.trained import Trained, read_trained

# Four heads of 12 where a file alone would mean one of 48.
SHAPE = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 4, "num_classes": 3}
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
CONFIG = {
    "architectures": ["DeiTForImageClassificationWithTeacher"],
    "model_type": "deit",
    "hidden_act": "gelu",
    "hidden_size": 48,
    "image_size": 32,
    "patch_size": 8,
    "num_attention_heads": 4,
    "num_channels": 3,
    "layer_norm_eps": 1e-2,
    "qkv_bias": True,
    "id2label": {"0": "cat", "1": "dog", "2": "emu"},
}
PROCESSING = {
    "do_center_crop": True,
    "crop_size": {"height": 28, "width": 28},
    "do_normalize": True,
    "image_mean": [0.1, 0.2, 0.3],
    "image_std": [0.4, 0.5, 0.6],
    "size": {"height": 32, "width": 32},
}


def distilled() -> nn.Module:
    return scrambled(VisionTransformerDistilled(**SHAPE, norm_layer=partial(nn.LayerNorm, eps=1e-2))).eval()


STATE = hugging_face(distilled().state_dict(), in_memory=False, teacher=True)


def halves() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    names = sorted(STATE)
    one, other = names[: len(names) // 2], names[len(names) // 2 :]
    return {name: STATE[name] for name in one}, {name: STATE[name] for name in other}


def in_parts(folder: Path, stem: str, suffix: str, save: Callable) -> None:
    names = [f"{stem}-0000{number}-of-00002.{suffix}" for number in (1, 2)]
    weight_map = {}
    for file, part in zip(names, halves(), strict=True):
        save(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))


def in_the_cache(folder: Path) -> None:
    """As huggingface_hub keeps it: a snapshot of links to files that are called by their hashes."""
    blobs = folder.parent.parent / "blobs"
    blobs.mkdir()
    save_file(STATE, blobs / "9a7c")
    (folder / "model.safetensors").symlink_to(Path("../../blobs/9a7c").as_posix())


FORMS: dict[str, Callable[[Path], object]] = {
    "safetensors": lambda folder: save_file(STATE, folder / "model.safetensors", metadata={"format": "pt"}),
    "bin": lambda folder: torch.save(STATE, folder / "pytorch_model.bin"),
    "old bin": lambda f: torch.save(STATE, f / "pytorch_model.bin", _use_new_zipfile_serialization=False),
    "safetensors in parts": lambda folder: in_parts(folder, "model", "safetensors", save_file),
    "bin in parts": lambda folder: in_parts(folder, "pytorch_model", "bin", torch.save),
    "variant": lambda folder: save_file(STATE, folder / "model.fp32.safetensors"),
}


def described(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSING))
    return folder


def answer(trained: Trained, images: Tensor) -> Tensor:
    with torch.no_grad():
        classes, distill = trained.student(images)
    return classes if distill is None else (classes + distill) / 2


def expected(net: nn.Module) -> Tensor:
    mean, std = (torch.tensor(PROCESSING[key]).view(1, 3, 1, 1) for key in ("image_mean", "image_std"))
    with torch.no_grad():
        return net((IMAGES - mean) / std)


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_in_each_form_answers_as_its_network(form: str, tmp_path: Path) -> None:
    FORMS[form](described(tmp_path / "mine"))
    trained = read_trained(tmp_path / "mine")
    torch.testing.assert_close(answer(trained, IMAGES), expected(distilled()), rtol=0, atol=1e-5)
    assert (trained.name, trained.classes, trained.image_size) == ("mine", ("cat", "dog", "emu"), 32)
    assert (trained.inputs.mean, trained.inputs.std, trained.crop) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 0.875)
    assert trained.fusion is Fusion.logits, "transformers decides by the mean of both heads' logits"


@pytest.mark.parametrize("named", ["models--someone--net", "models--someone--net/snapshots/abc"])
def test_a_folder_of_the_hubs_cache_is_read_through_its_links(named: str, tmp_path: Path) -> None:
    place = tmp_path / "models--someone--net"
    in_the_cache(described(place / "snapshots" / "abc"))
    described(place / "snapshots" / "older")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    trained = read_trained(tmp_path / named)
    torch.testing.assert_close(answer(trained, IMAGES), expected(distilled()), rtol=0, atol=1e-5)


def test_a_file_of_such_a_folder_is_read_as_the_folder_is(tmp_path: Path) -> None:
    FORMS["safetensors"](described(tmp_path / "mine"))
    trained = read_trained(tmp_path / "mine" / "model.safetensors")
    torch.testing.assert_close(answer(trained, IMAGES), expected(distilled()), rtol=0, atol=1e-5)
    assert trained.classes == ("cat", "dog", "emu")


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_network_with_the_token_but_without_its_head_decides_by_the_class_head(
    in_memory: bool, tmp_path: Path
) -> None:
    """DeiTForImageClassification: the distillation token is there, and nothing is read off it."""
    net = distilled()
    state = hugging_face(net.state_dict(), in_memory=in_memory, teacher=False)
    state = {name: tensor for name, tensor in state.items() if not name.startswith("distillation_classifier")}
    save_file(state, described(tmp_path / "mine") / "model.safetensors")
    mean, std = (torch.tensor(PROCESSING[key]).view(1, 3, 1, 1) for key in ("image_mean", "image_std"))
    with torch.no_grad():
        alone = net.head(net.forward_features((IMAGES - mean) / std)[:, 0])
    trained = read_trained(tmp_path / "mine")
    assert not trained.student.two_heads
    torch.testing.assert_close(answer(trained, IMAGES), alone, rtol=0, atol=1e-5)


def vit(**changes: object) -> nn.Module:
    return scrambled(VisionTransformer(**SHAPE | {"norm_layer": partial(nn.LayerNorm, eps=1e-2)} | changes)).eval()


VITS = {
    "ViT": ({}, {}),
    "without biases": ({"qkv_bias": False}, {"qkv_bias": False}),
    "ReLU": ({"act_layer": nn.ReLU}, {"hidden_act": "relu"}),
}


@pytest.mark.parametrize("kind", VITS)
def test_a_vit_answers_as_its_settings_have_it(kind: str, tmp_path: Path) -> None:
    changes, settings = VITS[kind]
    net = vit(**changes)
    state = hugging_face(net.state_dict(), in_memory=False, teacher=False)
    state = {name.replace("deit.", "vit."): tensor for name, tensor in state.items()}
    save_file(state, described(tmp_path / "mine", model_type="vit", **settings) / "model.safetensors")
    torch.testing.assert_close(answer(read_trained(tmp_path / "mine"), IMAGES), expected(net), rtol=0, atol=1e-5)


def test_what_the_folder_does_not_say_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    FORMS["safetensors"](described(tmp_path / "mine"))
    (tmp_path / "mine/preprocessor_config.json").unlink()
    trained = read_trained(tmp_path / "mine")
    assert (trained.inputs.mean, trained.crop) == ((0.485, 0.456, 0.406), 0.875)
    assert caplog.text.count("has no preprocessor_config.json") == 1


def test_a_network_without_a_class_head_starts_a_training_alone(tmp_path: Path) -> None:
    state = {name.removeprefix("deit."): t for name, t in STATE.items() if "classifier" not in name}
    save_file(state | {"pooler.dense.bias": torch.ones(48)}, described(tmp_path / "mine") / "model.safetensors")
    with pytest.raises(ConfigError, match=r"without a class head, which decides nothing\. Pass init=.*mine"):
        read_trained(tmp_path / "mine")
    assert read_state(tmp_path / "mine").keys() == {*state, "pooler.dense.bias"}


def test_class_names_of_imagenet_are_those_of_the_data(tmp_path: Path) -> None:
    info = ImageNetInfo("imagenet-1k")
    words = {str(n): info.label_name_to_description(name) for n, name in enumerate(imagenet_classes(1000))}
    net = VisionTransformer(**SHAPE | {"num_classes": 1000})
    state = hugging_face(net.state_dict(), in_memory=False, teacher=False)
    save_file(state, described(tmp_path / "mine", id2label=words) / "model.safetensors")
    assert read_trained(tmp_path / "mine").classes == imagenet_classes(1000)
    described(tmp_path / "mine", id2label={str(n): f"LABEL_{n}" for n in range(1000)})
    assert read_trained(tmp_path / "mine").classes == imagenet_classes(1000)


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_of_timms_on_the_hub(name: str, flat: bool, tmp_path: Path) -> None:
    net = scrambled(timm.create_model("deit_tiny_patch16_224", num_classes=3)).eval()
    record = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "input_size": [3, 224, 224], "crop_pct": 0.9}
    content = {"architecture": "deit_tiny_patch16_224", "num_classes": 3, "num_features": 192}
    content |= record if flat else {"global_pool": "token", "pretrained_cfg": record | {"tag": "fb_in1k"}}
    (tmp_path / "config.json").write_text(json.dumps(content))
    (save_file if name.endswith("safetensors") else torch.save)(net.state_dict(), tmp_path / name)
    trained = read_trained(tmp_path)
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(record[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(answer(trained, images), net((images - mean) / std), rtol=0, atol=1e-5)
    assert (trained.crop, trained.image_size) == (0.9, 224)


def outside(folder: Path) -> None:
    FORMS["safetensors in parts"](folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-00001", "../model-00001"))


def incomplete(folder: Path) -> None:
    FORMS["safetensors in parts"](folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


WRONG: list[tuple[dict[str, object], Callable[[Path], object], str]] = [
    ({"model_type": "swin"}, FORMS["safetensors"], "model_type must be deit or vit, got swin"),
    ({"num_channels": 1}, FORMS["safetensors"], "num_channels must be 3, got 1"),
    ({"hidden_act": "mish"}, FORMS["safetensors"], "hidden_act must be gelu, "),
    ({"id2label": {"0": "cat"}}, FORMS["safetensors"], "id2label of config.json must name 3 classes, got 1"),
    ({"image_size": [32, 64]}, FORMS["safetensors"], "does not describe its network"),
    ({"num_attention_heads": 10**9}, FORMS["safetensors"], "is of an unknown form"),
    ({}, lambda folder: (folder / "tf_model.h5").touch(), "only tf_model.h5, which PyTorch does not read"),
    ({}, outside, "which is not a file of its folder"),
    ({}, incomplete, "names model-00002-of-00002.safetensors, which is not there"),
    ({}, lambda folder: save_file(STATE | {"classifier.x": torch.tensor(float("inf"))}, folder / "model.safetensors"),
     "NaN or infinite"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "made", "said"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_wrong_with_a_folder_is_named(
    changes: dict[str, object], made: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    made(described(tmp_path / "mine", **changes))
    with pytest.raises(ConfigError) as refusal:
        read_trained(tmp_path / "mine")
    assert said in str(refusal.value)
    assert str(tmp_path / "mine") in str(refusal.value)
