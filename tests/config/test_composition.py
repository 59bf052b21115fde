"""Every YAML file composes, and what it composes to is what the paper says."""

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from deit.config import rules
from deit.config.compose import fingerprint, plain, typed
from deit.config.errors import ConfigError
from deit.config.material import Crop
from deit.config.schema import Config
from deit.config.teaching import TeacherSource

CONF = Path(__file__).parents[2] / "conf"
# What a file cannot know and the user must say.
NEEDED = {
    "teacher=none": ["distill=none"],
    "data=imagenet": ["data.root=somewhere"],
    "data=folder": ["data.root=somewhere"],
    "data=hf": ["data.path=somewhere"],
    "model=timm": ["model.net=resnet18"],
    "teacher=ensemble": ["teacher.members=[resnet18.tv_in1k,resnet50.tv_in1k]"],
    "augment=deit3": ["optim.loss=binary"],
    "cell=from_average": ["init=sweep"],
    "resources=slurm_2x8": ["optim.batch_size=64"],
}
OPTIONS = sorted(f"{path.parent.name}={path.stem}" for path in CONF.glob("*/*.yaml") if path.parent.name != "local")


@pytest.mark.parametrize("scale", ["nano", "paper"])
@pytest.mark.parametrize("option", OPTIONS)
def test_every_file_composes_at_both_scales(config: Callable[..., Config], option: str, scale: str) -> None:
    composed = config(f"scale={scale}", *NEEDED.get(option, []), *([] if option.startswith("scale=") else [option]))
    assert isinstance(composed, Config)
    # What depends on this machine, and published teachers beside other data or of nano scale, is refused with reason.
    expected = ("data.root=", "package datasets", "predicts 1000 classes", "which no network of scale=nano has")
    assert [text for text in rules.problems(composed) if not any(word in text for word in expected)] == []


def test_sizes_follow_the_scale(config: Callable[..., Config]) -> None:
    assert [config(f"resolution={r}").image_size for r in ("own", 160, 224, 320, 384)] == [28, 20, 28, 40, 48]
    paper = [config("scale=paper", f"resolution={r}").image_size for r in ("own", 160, 224, 320, 384)]
    assert paper == [224, 160, 224, 320, 384]
    assert [config(f"model={m}").embed_dim for m in ("deit_ti", "deit_s", "deit_b")] == [48, 96, 192]
    assert [config("scale=paper", f"model={m}").embed_dim for m in ("deit_ti", "deit_s", "deit_b")] == [192, 384, 768]


def test_paper_scale_has_the_hyper_parameters_of_table_9(config: Callable[..., Config]) -> None:
    paper = config("scale=paper", "data=imagenet")
    optim = paper.optim
    assert (optim.epochs, optim.batch_size, optim.lr, optim.warmup_epochs) == (300, 1024, 5e-4, 5)
    assert paper.optim.peak_lr == 1e-3  # 5e-4 x 1024 / 512
    assert (paper.optim.weight_decay, paper.model.drop_path, paper.model.dropout) == (0.05, 0.1, 0.0)
    augment = paper.augment
    assert (augment.mixup, augment.cutmix, augment.erasing) == (0.8, 1.0, 0.25)
    assert (augment.smoothing, augment.repeats) == (0.1, 3)
    assert (augment.auto_augment, augment.crop, augment.eval_share) == ("rand-m9-mstd0.5-inc1", Crop.resized, 0.875)
    soft = config("distill=soft").distill
    assert (soft.alpha, soft.tau) == (0.1, 3.0)  # lambda and tau of the paper's section 5.2


def test_a_teacher_comes_from_the_right_place(config: Callable[..., Config]) -> None:
    assert config().teacher_source is TeacherSource.fit
    assert config("scale=paper").teacher_source is TeacherSource.pretrained
    assert config("teacher.checkpoint=x.pth").teacher_source is TeacherSource.checkpoint
    assert config("scale=paper", "teacher.source=fit").teacher_source is TeacherSource.fit


def test_the_absence_of_a_teacher_takes_every_key_of_a_teacher(config: Callable[..., Config]) -> None:
    composed = config("teacher=none", "distill=none", "teacher.fit.epochs=3", "teacher.nano_width=0.5")
    assert not composed.teacher.present
    assert not composed.uses_teacher


def test_a_value_that_must_be_given_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"model must be given; pass model=<value>"):
        typed(OmegaConf.structured(Config))


@pytest.mark.parametrize(("added", "words"), [("+typo=1", "typo is no key"), ("+model.head=3", "mean model.heads=")])
def test_a_key_that_nothing_reads_is_refused(config: Callable[..., Config], added: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config(added)


def test_the_fingerprint_is_of_what_is_computed(config: Callable[..., Config]) -> None:
    same = [config(), config("logger=tensorboard"), config("data.workers=3"), config("trainer.progress=false")]
    assert len({fingerprint(c) for c in same}) == 1
    others = [config("seed=1"), config("model=deit_s"), config("optim.epochs=61"), config("distill.alpha=0.4")]
    assert len({fingerprint(c) for c in [*others, config()]}) == 5


def test_plain_holds_nothing_but_plain_values(config: Callable[..., Config]) -> None:
    values = plain(config())
    assert isinstance(values, dict)
    assert values["distill"]["method"] == "hard"
    assert values["augment"]["crop"] == "padded"
