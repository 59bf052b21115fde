"""Every rule refuses what it must and accepts what it can; a refusal says what to type."""

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from deit.config import rules
from deit.config.notes import notes_of
from deit.config.schema import Config

# Overrides that break one rule, words that the message must hold, overrides that mend it.
REFUSED = [
    (["distill=hard", "teacher=none"], ["distill.method=hard needs a teacher", "teacher=regnety_160"], ["distill=none"]),
    (["distill=none", "teacher=none", "distill.compare=true"], ["distill.compare=true needs a teacher"], ["teacher=resnet50"]),
    (["teacher.source=checkpoint"], ["no file is named", "teacher.checkpoint=<file>"], ["teacher.source=fit"]),
    (["teacher.checkpoint=nowhere.pth"], ["nowhere.pth is not a file"], ["teacher.checkpoint=null"]),
    (["teacher.checkpoint=x.pth", "teacher.source=fit"], ["would be ignored"], ["teacher.checkpoint=null"]),
    (["teacher.source=finetune"], ["which no network of scale=nano has"], ["teacher.source=fit"]),
    (["trainer.patience=0"], ["trainer.patience=0 must be above zero"], ["trainer.patience=null"]),
    (["scale=paper", "data=cifar100", "data.download=true"], ["predicts 1000 classes, data=cifar100 has 100"], ["teacher.source=fit"]),
    (["resolution.pixels=30"], ["30 pixels does not divide into patches of 4", "resolution.pixels=28"], ["resolution.pixels=32"]),
    (["model.embed_dim=50"], ["model.embed_dim=50 does not divide by model.heads=3", "model.embed_dim=48"], ["model.embed_dim=48"]),
    (["model.heads=0"], ["model.heads=0 must be above zero"], ["model.heads=1"]),
    (["trainer=ddp", "trainer.devices=3"], ["optim.batch_size must be a multiple of 6 (two images that are mixed x 3 devices), got 16", "=12 or optim.batch_size=18", "augment.mixup=0"], ["optim.batch_size=18"]),
    (["trainer.accumulate=3"], ["3 accumulated batches"], ["optim.batch_size=60"]),
    (["optim.batch_size=15"], ["a multiple of 2 (two images that are mixed), got 15", "=14 or optim.batch_size=16"], ["augment=none"]),
    (["trainer.accumulate=16"], ["a multiple of 32", "Pass optim.batch_size=32"], ["augment.mixup=0", "augment.cutmix=0"]),
    (["augment=none", "trainer=ddp", "trainer.devices=3"], ["a multiple of 3 (3 devices), got 16. Pass optim.batch_size=15 or optim.batch_size=18."], ["optim.batch_size=15"]),
    (["optim.epochs=4", "optim.warmup_epochs=4"], ["optim.warmup_epochs=4 is not shorter than optim.epochs=4"], ["optim.warmup_epochs=1"]),
    (["optim.epochs=5", "optim.adapt=false"], ["optim.warmup_epochs=5 is not shorter"], ["optim.adapt=true"]),
    (["optim.paper_epochs=0"], ["optim.paper_epochs=0 must be above zero"], ["optim.paper_epochs=300"]),
    (["optim.lr=5e-5"], ["optim.min_lr=1e-05 is above the peak rate 1.5625e-06"], ["optim.lr=1e-3"]),
    (["data=folder"], ["data=folder needs its folder; pass data.root="], ["data=digits"]),
    (["data=imagenet"], ["data=imagenet needs its folder; pass data.root="], ["data=digits"]),
    (["data=folder", "data.root=nowhere"], ["data.root=nowhere does not exist"], ["data=digits", "data.root=null"]),
    (["data=cifar10"], ["needs the folder cifar-10-batches-py/, which is not in logs/data", "data.download=true"], ["data.download=true"]),
    (["data=cifar10", "data.root=nowhere"], ["data.root=nowhere is not a folder"], ["data.download=true"]),
    (["init=nowhere.ckpt"], ["init=nowhere.ckpt is not a file"], ["init=null"]),
    (["resume=nowhere.ckpt"], ["possible: auto, never, or a checkpoint"], ["resume=never"]),
    (["trainer.devices=2"], ["pass trainer=ddp"], ["trainer=ddp"]),
    (["trainer=fsdp", "trainer.accelerator=cpu"], ["pass trainer=ddp"], ["trainer=ddp"]),
    (["trainer.precision=16-mixed"], ["needs a GPU"], ["trainer.precision=bf16-mixed"]),
    (["trainer.precision=half"], ["trainer.precision=half is unknown", "bf16-mixed"], ["trainer.precision=32-true"]),
    (["trainer.limit_batches=0"], ["trainer.limit_batches=0 must be above zero"], ["trainer.limit_batches=1"]),
    (["distill.alpha=1.5"], ["distill.alpha=1.5 is out of range; possible: [0, 1]"], ["distill.alpha=1"]),
    (["distill.tau=0"], ["distill.tau=0 is out of range; possible: (0, 100]"], ["distill=soft", "distill.tau=1"]),
    (["augment.erasing=2"], ["augment.erasing=2 is out of range"], ["augment.erasing=1"]),
    (["augment.crop_scale=[0.5,0.1]"], ["augment.crop_scale"], ["augment.crop_scale=[0.5,0.5]"]),
    (["data.train_fraction=0"], ["data.train_fraction=0 is out of range; possible: (0, 1]"], ["data.train_fraction=1"]),
    (["data.val_fraction=0.5", "data.test_fraction=0.5"], ["leave nothing to train on"], ["data.val_fraction=0.1"]),
    (["data.pack=large"], ["data.pack=large is no length; possible: none or pixels", "data.pack=256"], ["data.pack=256"]),
    (["data=hf", "data.path=x", "data.pack=20"], ["data.pack=20 packs images smaller", "28 pixels", "data.pack=32"], ["data.pack=32"]),
    (["data.workers=-1"], ["data.workers=-1"], ["data.workers=0"]),
    (["data.mean=[0.5]"], ["images have 3 channels"], ["data.mean=[0.5,0.5,0.5]"]),
    (["model.drop_path=1"], ["model.drop_path=1 is out of range; possible: [0, 1)"], ["model.drop_path=0"]),
    (["teacher.fit.epochs=0"], ["teacher.fit.epochs=0 must be above zero"], ["teacher.fit.epochs=1"]),
    (["teacher=ensemble"], ["teacher=ensemble has 0 members"], ["teacher.members=[resnet18.tv_in1k,resnet50.tv_in1k]"]),
    (["teacher.members=[a,b]"], ["teacher.members belongs to an ensemble"], ["teacher.members=[]"]),
    (["teacher.same_size=true", "teacher.image_size=28"], ["contradict each other"], ["teacher.image_size=null"]),
    (["optim.loss=binary"], ["optim.loss=binary takes every class", "augment.smoothing=0"], ["augment.smoothing=0"]),
    (["optim.ema=1"], ["optim.ema=1 is out of range; possible: (0, 1)"], ["optim.ema=0.9"]),
    (["optim.ema_chosen=true"], ["no average is kept"], ["optim.ema=0.9"]),
    (["trainer=fsdp", "optim.ema=0.9"], ["which trainer.strategy=fsdp shards"], ["optim.ema=null"]),
    (["init_ema=true"], ["there is no init"], ["init_ema=false"]),
    (["init=timm:deit_tiny_patch16_224", "init_ema=true"], ["holds no averaged weights"], ["init_ema=false"]),
    (["augment.order=official"], ["mix with each other", "augment.mix_mode=batch"], ["augment.mix_mode=batch"]),
    (["augment.auto_augment=random"], ["augment.auto_augment=random is unknown", "3a"], ["augment.auto_augment=v0"]),
    (["distill.bank=auto", "augment.mix_mode=batch"], ["keeps an answer a view", "augment.mix_mode=pair"], ["augment.mix_mode=pair"]),
    (["distill.views=4", "augment.repeats=3"], ["distill.views=4 ends amid the 3 epochs", "distill.views=3"], ["distill.views=3"]),
    (["distill.bank_part=5/4"], ["distill.bank_part=5/4 is no share", "1/4"], ["distill.bank_part=4/4"]),
    (["distill.bank_logits=0"], ["distill.bank_logits=0 must be above zero"], ["distill.bank_logits=1"]),
    (["model=timm"], ["model=timm needs a network"], ["model.net=resnet18"]),
    (["model.net=resnet18"], ["would be ignored with model=deit_ti"], ["model.net=null"]),
    (["model=cait_xxs24", "model.layer_scale=null"], ["is built on LayerScale"], ["model.layer_scale=1e-5"]),
    (["data=hf", "data.path=x", "data.pack=20"], ["data.pack=20 packs images smaller", "28 pixels", "data.pack=32"], ["data.pack=32"]),
    (["name=a/b"], ["name='a/b' has a /", "a folder's name"], ["name=a"]),
    (["data.pack_path="], ["data.pack_path is empty"], ["data.pack_path=null"]),
    (["seed=-1"], ["seed=-1 is out of range; possible: [0, 4294967295]"], ["seed=1"]),
    (["resources=slurm_1x8", "trainer.devices=4"], ["trainer.devices=4, but resources=slurm_1x8 has", "pass resources.tasks_per_node=4"], ["trainer.devices=8"]),
    (["resources=slurm_1x8", "trainer.num_nodes=2", "optim.batch_size=64"], ["pass resources.nodes=2 and leave trainer.num_nodes out"], ["trainer.num_nodes=1"]),
    (["resources=slurm_1x8", "trainer=cpu"], ["trainer=cpu is one process, but 8 devices", "pass trainer=ddp"], ["trainer=ddp"]),
    (["resources=slurm_1x1", "resources.hours=0.02"], ["resources.signal_before_s=120 is not less than", "resources.signal_before_s=36"], ["resources.hours=1"]),
    (["resources=slurm_1x1", "resources.memory_gb=0"], ["resources.memory_gb=0 must be above zero"], ["resources.memory_gb=8"]),
    (["resources=slurm_1x1", "resources.max_timeouts=-1"], ["resources.max_timeouts=-1 is out of range"], ["resources.max_timeouts=0"]),
    (["logger.csv=false"], ["cannot be switched off"], ["logger.csv=true"]),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "words", "mended"), REFUSED, ids=lambda value: " ".join(value)[:40])
def test_refused_and_accepted(
    config: Callable[..., Config], broken: list[str], words: list[str], mended: list[str]
) -> None:
    (problem,) = rules.problems(config(*broken))
    assert all(word in problem for word in words), problem
    assert rules.problems(config(*broken, *mended)) == []


def test_all_problems_are_told_at_once(config: Callable[..., Config]) -> None:
    problems = rules.problems(config("distill.alpha=2", "teacher=none", "resolution.pixels=30", "optim.lr=0"))
    assert len(problems) == 4


def test_every_rule_has_a_case_that_breaks_it(config: Callable[..., Config]) -> None:
    broken = [config(*overrides) for overrides, _, _ in REFUSED]
    silent = [rule.__name__ for rule in rules.RULES if not any(list(rule(c)) for c in broken)]
    assert silent == ["extras_are_installed"]  # whether an extra is installed is no matter of overrides


def numbers(node: object, prefix: str = "") -> Iterator[str]:
    """Every key of the configuration that holds a number, or lists of some."""
    hints = get_type_hints(type(node))
    for name, kind in hints.items():
        if is_dataclass(kind):
            yield from numbers(getattr(node, name), f"{prefix}{name}.")
        elif {int, float, list[float]} & {kind, *get_args(kind)}:
            yield prefix + name


def changed(node: Any, key: str, value: float) -> Any:  # noqa: ANN401 - any part of the configuration
    name, _, rest = key.partition(".")
    was = getattr(node, name)
    return replace(
        node, **{name: changed(was, rest, value) if rest else [value] * 3 if isinstance(was, list) else value}
    )


@pytest.mark.parametrize("value", [-1, 10**30, float("nan"), float("inf")], ids=str)
def test_no_number_is_without_bounds(config: Callable[..., Config], value: float) -> None:
    usual = config()
    keys = list(numbers(usual))
    assert len(keys) > 60
    assert [key for key in keys if not any(key in text for text in rules.problems(changed(usual, key, value)))] == []


def test_what_has_no_effect_is_noted_once(config: Callable[..., Config]) -> None:
    (unused,) = notes_of(config("distill=none"))
    assert "teacher=regnety_160 is not used" in unused
    assert "distill.compare=true" in unused
    assert any("distill.tau has no effect with distill=hard" in n for n in notes_of(config("distill.tau=3")))
    (device,) = notes_of(config("distill=soft", "model.dropout=0.1", "trainer=ddp", "trainer.devices=2"))
    assert device.startswith("model.dropout draws per device")
    assert any("DRY RUN" in n for n in notes_of(config("teacher.source=random")))
    assert notes_of(config("distill=soft", "data=cifar10", "data.root=null")) == []


def test_what_a_place_has_no_use_for_is_noted(config: Callable[..., Config]) -> None:
    (hours,) = notes_of(config("resources.hours=12"))
    assert hours == "resources.hours has no effect with resources=local"
    (partition,) = notes_of(config("resources=submitit_local", "resources.hours=12", "resources.partition=gpu"))
    assert partition == "resources.partition has no effect with resources=submitit_local"


def test_packing_what_needs_none_is_noted(config: Callable[..., Config]) -> None:
    (memory, path) = notes_of(config("data.pack=256", "data.pack_path=p"))
    assert "data.pack has no effect: the images of data=digits lie in memory" in memory
    assert "data.pack_path has no effect" in path


def test_turning_what_lies_in_memory_is_noted(config: Callable[..., Config]) -> None:
    (note,) = notes_of(config("data=digits", "data.upright=true"))
    assert note == "data.upright has no effect: the images of data=digits lie in memory, without EXIF"
    assert not notes_of(config("data=imagenet", "data.upright=true", "data.root=/data"))


def test_settings_of_the_bank_that_do_nothing_here_are_noted(config: Callable[..., Config]) -> None:
    (kept, part, path) = notes_of(config("distill.bank_logits=3", "distill.bank_part=1/2", "distill.bank_path=b"))
    assert "decisions alone are kept" in kept
    assert "src/bank.py build alone" in part
    assert "while distill.bank=off" in path
    (unused, nothing) = notes_of(config("distill=none", "distill.bank=auto"))
    assert "is not used" in unused
    assert "distill.bank=auto has no effect with distill=none" in nothing


def test_a_student_without_a_token_says_who_learns(config: Callable[..., Config]) -> None:
    (note,) = notes_of(config("model=cait_xxs24"))
    assert note == "model=cait_xxs24 has no distillation token: its class head learns from labels and teacher"
    assert any("float32_attention has no effect" in n for n in notes_of(config("model.float32_attention=true")))
    assert any("model.heads has no effect" in n for n in notes_of(config("model=timm", "model.net=a", "model.heads=2")))


def make_tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_folders_are_read_before_anything_starts(config: Callable[..., Config], tmp_path: Path) -> None:
    root = make_tree(tmp_path / "photos", "cat/1.jpg", "dog/deep/2.PNG", ".hidden/x", "bird/notes.txt")
    (problem,) = rules.problems(config("data=folder", f"data.root={root}"))
    assert "class folders without an image: bird" in problem
    make_tree(root, "bird/3.webp")
    good = config("data=folder", f"data.root={root}")
    assert rules.problems(good) == []
    # The number of classes is known from here on, so a published teacher is refused without being loaded.
    (mismatch,) = rules.problems(config("data=folder", f"data.root={root}", "scale=paper"))
    assert "predicts 1000 classes, data=folder has" in mismatch


def test_splits_must_agree_on_their_classes(config: Callable[..., Config], tmp_path: Path) -> None:
    root = make_tree(tmp_path, "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/c/1.jpg")
    (problem,) = rules.problems(config("data=folder", f"data.root={root}"))
    assert "classes that train has not: c" in problem


def test_imagenet_needs_both_folders_and_all_classes(config: Callable[..., Config], tmp_path: Path) -> None:
    root = make_tree(tmp_path, "train/a/1.jpg", "train/b/1.jpg")
    problems = rules.problems(config("data=imagenet", f"data.root={root}"))
    assert any("has no folder val/" in p for p in problems)
    assert any("2 class folders, but data.num_classes=1000" in p for p in problems)
