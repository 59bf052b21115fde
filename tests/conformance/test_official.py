"""Where ports of the official recipe go wrong, each against a number worked out by hand or timm's own function.

Kept with what they test: losses (tests/distillation), learning rates and decay (tests/training/test_optimizer.py),
the repeated-augmentation sampler and Mixup (tests/data), position embeddings, files and the released numbers of
parameters (tests/models).
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from timm.layers.drop import DropPath
from timm.loss import SoftTargetCrossEntropy
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn

from deit.config.network import Model
from deit.config.schema import Config
from deit.data.order import TrainBatches
from deit.data.sources.pictures import ArrayPicture
from deit.data.views import EvalView, TrainView
from deit.distillation import losses
from deit.models.students import Student
from deit.training.optimizer import official_learning_rate, parameter_groups
from deit.training.run import make_student

PAPER = ("scale=paper", "data=imagenet")


@pytest.fixture(scope="module")
def tiny(config: Callable[..., Config]) -> Student:
    """DeiT-Ti with the token at paper scale."""
    torch.manual_seed(0)
    return make_student(config("experiment=official/deit_ti_hard"), num_classes=1000)


# Networks


def test_initial_weights_are_truncated_normal_of_two_hundredths(tiny: Student) -> None:
    state = tiny.net.state_dict()
    drawn = ["pos_embed", "cls_token", "dist_token", "head.weight", "head_dist.weight", "blocks.3.attn.qkv.weight"]
    for name in drawn:
        tensor: Tensor = state[name]
        tolerance = 5 / math.sqrt(tensor.numel())  # of the standard deviation, relative
        assert tensor.std().item() == pytest.approx(0.02, rel=tolerance), name
        assert tensor.abs().max() <= 2, "timm truncates at absolute values of 2"
    zero = [name for name in state if name.endswith("bias") and not name.startswith("patch_embed")]
    assert all(not state[name].any() for name in zero)
    norms = [module for module in tiny.modules() if isinstance(module, nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-6}
    assert "blocks.0.attn.qkv.bias" in state


def test_stochastic_depth_grows_in_a_line(config: Callable[..., Config]) -> None:
    settings = config(*PAPER)

    def rates(model: Model) -> list[float]:
        student = make_student(Config(**{**vars(settings), "model": model}), num_classes=10)
        return [
            block.drop_path1.drop_prob if isinstance(block.drop_path1, DropPath) else 0.0  # type: ignore[union-attr]
            for block in student.net.blocks  # type: ignore[union-attr]
        ]

    assert rates(settings.model) == pytest.approx([0.1 * i / 11 for i in range(12)])
    constant = Model(**{**vars(settings.model), "drop_path_grows": False})
    assert rates(constant) == pytest.approx([0.1] * 12)


def test_heads_are_apart_in_training_and_in_evaluation(tiny: Student) -> None:
    images = torch.rand(2, 3, 224, 224)
    for mode in (True, False):
        answer = tiny.train(mode)(images)
        assert answer.distill is not None
        assert not torch.equal(answer.classes, answer.distill)


# Optimisation


def test_the_rate_follows_the_total_batch_and_only_the_peak_does(config: Callable[..., Config]) -> None:
    alone = config(*PAPER).optim
    spread = config(*PAPER, "trainer=ddp", "trainer.devices=8", "trainer.num_nodes=2", "trainer.accumulate=4").optim
    assert alone.peak_lr == spread.peak_lr == 1e-3
    doubled = config(*PAPER, "optim.batch_size=2048").optim
    assert (doubled.peak_lr, doubled.warmup_lr, doubled.min_lr) == (2e-3, 1e-6, 1e-5)


def test_fine_tuning_at_384_is_at_a_constant_rate_after_the_warm_up(config: Callable[..., Config]) -> None:
    o = config("experiment=official/deit_b_384", "init=x").optim
    shared = {"epochs": 30, "warmup_epochs": 5, "peak": o.peak_lr, "first": o.warmup_lr, "last": o.min_lr}
    rates = [official_learning_rate(epoch, **shared) for epoch in range(30)]
    assert rates[:2] == [1e-6, 1e-6]
    assert rates[6:] == pytest.approx([5e-6] * 24)


def test_decay_is_spared_as_by_timm(config: Callable[..., Config], tiny: Student) -> None:
    _, spared = parameter_groups(tiny, config(*PAPER).optim)
    theirs = param_groups_weight_decay(tiny.net, 0.05, no_weight_decay_list=tiny.net.no_weight_decay())
    timm_spared = next(group["params"] for group in theirs if group["weight_decay"] == 0)
    assert {id(p) for p in spared["params"]} == {id(p) for p in timm_spared}  # type: ignore[union-attr]


def test_the_label_loss_is_timms() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(8, 1000), torch.rand(8, 1000).softmax(-1)
    ours = losses.soft_target_cross_entropy(logits, targets)
    assert ours.item() == pytest.approx(SoftTargetCrossEntropy()(logits, targets).item(), rel=1e-6)


# Data


def test_an_epoch_of_imagenet_is_1251_steps() -> None:
    from deit.config.material import Order

    batches = TrainBatches(np.arange(1_281_167), batch_size=1024, seed=0, repeats=3, order=Order.official)
    assert len(batches) == 1251
    first = next(iter(batches))
    assert len(first) == 1024
    assert len({key.index for key in first}) == 342, "three views of 341 images, one of the next"


def test_training_images_are_cut_and_changed_as_by_the_official_recipe(config: Callable[..., Config]) -> None:
    c = config("experiment=official/deit_b", "data.decode=reference")
    view = TrainView(c.augment, c.data, image_size=c.image_size)
    crop = view.crop
    assert (crop.scale, crop.ratio, crop.size) == ((0.08, 1.0), (3 / 4, 4 / 3), (224, 224))  # type: ignore[union-attr]
    assert "bicubic" in str(crop)
    policy = view.policy
    assert policy.num_layers == 2  # type: ignore[union-attr]
    for op in policy.ops:  # type: ignore[union-attr]
        assert (op.prob, op.magnitude, op.magnitude_std) == (0.5, 9, 0.5)
        assert op.hparams["translate_const"] == 100  # int(0.45 * 224)
        assert op.hparams["img_mean"] == (124, 116, 104)  # ImageNet's mean
    assert c.augment.color_jitter == 0, "main.py's color-jitter of 0.3 does nothing beside RandAugment"


def test_images_of_32_pixels_are_padded_by_4(config: Callable[..., Config]) -> None:
    c = config("resolution.pixels=32", "data.decode=reference")
    padded = TrainView(c.augment, c.data, image_size=32).crop.transforms[-1]  # type: ignore[union-attr]
    assert padded.padding == [4, 4, 4, 4]


@pytest.mark.parametrize(("size", "resized"), [(224, 256), (384, 438)])
def test_evaluation_resizes_by_an_eighth_more(config: Callable[..., Config], size: int, resized: int) -> None:
    c = config(*PAPER, "data.decode=reference")
    view = EvalView(c.data, image_size=size, crop=c.augment.eval_share)
    assert view.transform.transforms[0].size == [resized]  # type: ignore[union-attr]
    assert "BICUBIC" in str(view.transform)


def test_images_of_cifar_are_enlarged_to_the_papers_size(config: Callable[..., Config]) -> None:
    c = config("scale=paper", "data=cifar10")
    small = ArrayPicture(np.zeros((32, 32, 3), np.uint8))
    assert TrainView(c.augment, c.data, image_size=c.image_size)(small)[0].shape == (3, 224, 224)
    assert EvalView(c.data, image_size=c.image_size, crop=c.augment.eval_share)(small).shape == (3, 224, 224)


# Fine-tuning


def test_eval_mode_trains_without_stochastic_depth_and_dropout(config: Callable[..., Config]) -> None:
    noisy = ("model.drop_path=0.9", "model.dropout=0.5", "scale.depth=2")
    images = torch.rand(4, 3, 28, 28)
    for quiet in (False, True):
        student = make_student(config(*noisy, f"model.eval_mode={quiet}"), num_classes=10).train()
        assert torch.equal(student(images).classes, student(images).classes) is quiet
        student(images).classes.sum().backward()
        assert student.net.head.weight.grad is not None  # type: ignore[union-attr]
