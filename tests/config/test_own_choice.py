"""The recipe for one's own images: facts about them in, a choice with its reasons out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from deit.config import own_data
from deit.config.own_data import Images, Own, OwnChoice, choose, levelled, look, remarks
from deit.config.schema import Config
from deit.config.teaching import TeacherSource

PHOTOGRAPHS = Images({"cat": 100, "dog": 100}, short_side=375)
DIGITS = Images({"cat": 100, "dog": 100}, short_side=28)


def chosen(images: Images, *missing: OwnChoice, asked: str | None = None, paper: bool = False) -> tuple[OwnChoice, str]:
    """What is chosen where the weights for the recipes ``missing`` cannot be had, and why."""
    own = choose(images, asked=asked, paper=paper, lacks=lambda choice: f"no {choice}" if choice in missing else None)
    assert own.reasons[-1].startswith(f"own={own.choice}: ")
    return own.choice, own.reasons[-1]


def test_photographs_start_from_published_weights_as_far_as_these_can_be_had() -> None:
    student, teacher = OwnChoice.finetune_alone, OwnChoice.finetune
    assert chosen(PHOTOGRAPHS)[0] is OwnChoice.finetune
    assert chosen(PHOTOGRAPHS, teacher)[0] is OwnChoice.finetune_alone
    choice, why = chosen(PHOTOGRAPHS, teacher, student)
    assert choice is OwnChoice.scratch
    assert "no finetune_alone" in why
    assert chosen(PHOTOGRAPHS, teacher, student, paper=True)[0] is OwnChoice.plain


def test_of_tiny_images_nobody_asks_for_weights() -> None:
    def refuse(choice: OwnChoice) -> str | None:
        raise AssertionError(f"weights for {choice} were looked for")

    assert choose(DIGITS, asked=None, paper=False, lacks=refuse).choice is OwnChoice.plain
    assert choose(Images({"cat": 1, "dog": 1}, None), asked=None, paper=False, lacks=refuse).choice is OwnChoice.plain


@pytest.mark.parametrize("asked", ["init=photos.ckpt", "experiment=official/deit_b", "cell=[b]"])
def test_what_says_by_itself_how_to_train_is_left_alone(asked: str) -> None:
    assert chosen(PHOTOGRAPHS, asked=asked) == (OwnChoice.none, f"own=none: {asked} says how to train")


def test_no_job_of_a_sweep_knows_imagenet_unless_all_do() -> None:
    tuned, fresh = Own(choice=OwnChoice.finetune, reasons=["a", "b"]), Own(choice=OwnChoice.scratch, reasons=["c"])
    assert levelled({0: tuned, 3: tuned}, paper=()) == {0: tuned, 3: tuned}
    now = levelled({0: tuned, 1: fresh, 2: tuned}, paper=[2])
    assert [own.choice for own in now.values()] == [OwnChoice.scratch, OwnChoice.scratch, OwnChoice.plain]
    assert now[1] is fresh
    assert now[0].reasons == ["a", "own=scratch: as published weights cannot be had for job #1 of this sweep"]


def test_what_is_worth_knowing_is_said() -> None:
    told = "\n".join(remarks(Images({"cat": 200, "dog": 4}, 375, grey=0.9, others={".heic": 12})))
    assert "204 images of 2 classes, 4 to 200 each, short side 375 pixels" in told
    assert "12 .heic" in told
    assert "grey" in told
    assert "fewer than 10 images: dog" in told
    assert "always naming cat is right on 98 %" in told
    assert len(list(remarks(PHOTOGRAPHS))) == 1


def test_a_folder_is_looked_at_by_its_headers(tmp_path: Path) -> None:
    for split, name, side, mode in (("train", "cat", 60, "RGB"), ("train", "dog", 80, "L"), ("val", "cat", 100, "RGB")):
        (tmp_path / split / name).mkdir(parents=True)
        Image.new(mode, (side, 2 * side)).save(tmp_path / split / name / "1.png")
    (tmp_path / "train/dog/broken.jpg").write_bytes(b"no image")
    (tmp_path / "train/dog/note.txt").touch()
    seen = look(str(tmp_path))
    assert seen == Images({"cat": 2, "dog": 2}, 80, grey=1 / 3, others={".txt": 1})


@pytest.mark.parametrize("choice", [choice for choice in OwnChoice if choice is not OwnChoice.auto])
def test_each_choice_is_an_option_that_any_setting_wins_over(choice: OwnChoice, config: Callable[..., Config]) -> None:
    mine = config(f"own={choice}", "scale=nano", "resolution=160", "optim.epochs=3", "trainer.patience=null")
    assert mine.own.choice is choice
    assert (mine.scale.name, mine.image_size, mine.optim.epochs, mine.trainer.patience) == ("nano", 20, 3, None)


def test_fine_tuning_takes_the_weights_of_the_model(config: Callable[..., Config]) -> None:
    assert config("own=finetune").init == "timm:deit_tiny_distilled_patch16_224.fb_in1k"
    assert config("own=finetune", "model=deit_s", "distill=none").init == "timm:deit_small_patch16_224.fb_in1k"
    assert config("own=finetune_alone").init == "timm:deit_tiny_patch16_224.fb_in1k"
    assert config("own=finetune", "model=cait_s24").init is None
    assert config("own=finetune", "init=mine.pth").init == "mine.pth"


def test_a_teacher_is_fine_tuned_unless_the_user_names_its_file(config: Callable[..., Config]) -> None:
    assert config("own=finetune").teacher_source is TeacherSource.finetune
    assert config("own=finetune", "teacher.checkpoint=mine.pth").teacher_source is TeacherSource.checkpoint


def test_the_largest_tiny_image_is_nano_scales_384(config: Callable[..., Config]) -> None:
    assert config("resolution=384").image_size == own_data.TINY_SIDE


@pytest.mark.parametrize(
    ("settings", "side", "patch"),
    [
        ((), 64, 8),
        (("resolution=own",), 28, 4),
        (("resolution=384",), 48, 6),
        (("resolution.pixels=128",), 128, 16),
        (("resolution.pixels=56",), 56, 8),
        (("resolution.pixels=35",), 35, 5),
        (("scale.patch_size=4",), 64, 4),
    ],
)
def test_patches_follow_the_side_of_the_image(
    config: Callable[..., Config], settings: tuple[str, ...], side: int, patch: int
) -> None:
    composed = config("own=scratch", *settings)
    assert (composed.image_size, composed.scale.patch_size) == (side, patch)


@pytest.mark.parametrize(("cores", "workers"), [(None, 0), (1, 0), (2, 1), (8, 4)])
def test_workers_follow_the_cores(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, cores: int | None, workers: int
) -> None:
    monkeypatch.setattr(own_data.os, "cpu_count", lambda: cores)
    assert config("own=scratch").data.workers == config("own=finetune").data.workers == workers
    assert config("own=scratch", "data.workers=0").data.workers == 0


def test_of_next_to_nothing_next_to_nothing_is_expected() -> None:
    told = "\n".join(remarks(Images({"a": 5, "b": 5}, short_side=1)))
    assert "10 images in all are too few to learn from" in told
    assert "images of 1 pixel show no objects" in told
