"""Which networks may be compared, and what they are called."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from deit.assessment.request import read
from deit.assessment.sets import open_sets
from deit.assessment.subjects import read_subjects, refuse_other_images, refuse_other_turns
from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.models.description import DESCRIPTION, describe
from deit.models.students import build_student

SHAPE = {"img_size": 16, "patch_size": 8, "embed_dim": 64, "depth": 1, "num_heads": 1}


def a_file(path: Path, num_classes: int, **more: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": VisionTransformer(**SHAPE, num_classes=num_classes).state_dict(), **more}, path)
    return str(path)


def a_run(
    folder: Path, config: Config, classes: tuple[str, ...] = tuple("0123456789"), data: str | None = "digest"
) -> str:
    """checkpoints/best.ckpt with raw and, where the configuration keeps them, averaged weights."""
    statistics = {"mean": config.data.mean, "std": config.data.std}
    size = {"image_size": config.image_size, "token": config.token, "num_classes": len(classes)}
    net = build_student(config.model, config.scale, **size, **statistics).net
    state = {f"student.net.{name}": tensor for name, tensor in net.state_dict().items()}
    if config.optim.ema is not None:
        state |= {f"average.module.net.{name}": tensor / 2 for name, tensor in net.state_dict().items()}
    file = folder / "checkpoints" / "best.ckpt"
    file.parent.mkdir(parents=True)
    torch.save({"state_dict": state, DESCRIPTION: describe(config, classes, data)}, file)
    return str(folder)


def test_raw_and_averaged_weights_are_each_a_network(config: Callable[..., Config], tmp_path: Path) -> None:
    kept = config("scale.depth=1", "optim.ema=0.9")
    raw, averaged = read_subjects([a_run(tmp_path / "mine", kept)])
    assert (raw.name, averaged.name) == ("mine (raw)", "mine (ema)")
    ours, theirs = (one.trained.student.net.get_parameter("head.weight") for one in (raw, averaged))
    assert torch.equal(ours / 2, theirs)
    chosen = config("scale.depth=1", "optim.ema=0.9", "optim.ema_chosen=true")
    assert [one.name for one in read_subjects([a_run(tmp_path / "other", chosen)])] == ["other (ema)", "other (raw)"]


def test_the_official_codes_average_is_a_network_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    average = VisionTransformer(**SHAPE, num_classes=10).state_dict()
    file = a_file(tmp_path / "deit.pth", 10, model_ema=average)
    assert [one.name for one in read_subjects([file])] == ["deit (raw)", "deit (ema)"]
    assert caplog.messages == [], "none of them is passed over"


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    files = [a_file(tmp_path / place / "weights.pth", 10) for place in ("a", "b")]
    assert [one.name for one in read_subjects(files)] == files


def test_all_files_that_cannot_be_read_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_subjects(["nowhere.pth", a_file(tmp_path / "a.pth", 10), "nothing.pth"])
    assert str(refusal.value).startswith("2 problems:")


def test_networks_of_other_classes_are_not_compared(config: Callable[..., Config], tmp_path: Path) -> None:
    ten, twelve = a_file(tmp_path / "ten.pth", 10), a_file(tmp_path / "twelve.pth", 12)
    with pytest.raises(ConfigError, match=r"twelve\.pth tells 12 classes \(0, 1, 2, …\) apart, .*ten\.pth 10 classes"):
        read_subjects([ten, twelve])
    one = a_run(tmp_path / "one", config("scale.depth=1"))
    letters = a_run(tmp_path / "letters", config("scale.depth=1"), tuple("abcdefghij"))
    with pytest.raises(ConfigError, match=r"10 classes \(a, b, c, …\)"):
        read_subjects([one, letters])


def test_runs_that_saw_photographs_turned_otherwise_are_not_compared(
    config: Callable[..., Config], tmp_path: Path
) -> None:
    photographs = ("scale.depth=1", "data=folder", "data.num_classes=10")
    one = a_run(tmp_path / "one", config(*photographs))
    other = a_run(tmp_path / "other", config(*photographs, "data.upright=false"))
    refuse_other_turns(read_subjects([one, one]))
    with pytest.raises(ConfigError, match=r"other was trained with data\.upright=false, .*one with true"):
        refuse_other_turns(read_subjects([one, other]))


def test_runs_that_held_out_other_images_are_not_compared(config: Callable[..., Config], tmp_path: Path) -> None:
    one = a_run(tmp_path / "one", config("scale.depth=1"))
    other = a_run(tmp_path / "other", config("scale.depth=1", "data.seed=1", "data.test_fraction=0.3"))
    with pytest.raises(ConfigError, match=r"data\.seed=1, not 0, data\.test_fraction=0\.3, not 0\.2"):
        refuse_other_images(read_subjects([one, other]))
    refuse_other_images(read_subjects([one]))


def test_a_network_is_not_asked_about_other_classes(config: Callable[..., Config], tmp_path: Path) -> None:
    digits = config().data
    asked = read(["checkpoint=a"])
    with pytest.raises(ConfigError, match=r"twelve\.pth tells 12 classes apart, data=digits has 10"):
        open_sets(asked, digits, read_subjects([a_file(tmp_path / "twelve.pth", 12)]))
    letters = read_subjects([a_run(tmp_path / "letters", config("scale.depth=1"), tuple("abcdefghij"))])
    with pytest.raises(ConfigError, match="10 of other names, such as 0 where it knows a"):
        open_sets(asked, digits, letters)
    (found,) = open_sets(asked, digits, read_subjects([a_file(tmp_path / "ten.pth", 10)]))
    assert found.name == "test"


def test_relatives_of_imagenet_need_its_thousand_classes(config: Callable[..., Config], tmp_path: Path) -> None:
    ten = read_subjects([a_file(tmp_path / "ten.pth", 10)])
    with pytest.raises(ConfigError, match="sets=a,sketch are of ImageNet's 1000 classes"):
        open_sets(read(["checkpoint=a", "sets=sketch,a"]), config().data, ten)
