"""What the official code of DeiT does, built from timm's parts: the reference of the data path and of the step.

Shapes: B batch, K classes, S side in pixels.
"""

from collections.abc import Callable, Iterator
from itertools import count
from typing import cast

import numpy as np
import torch
from PIL import Image
from timm.data.mixup import Mixup
from timm.data.transforms_factory import create_transform
from timm.loss.binary_cross_entropy import BinaryCrossEntropy
from timm.loss.cross_entropy import SoftTargetCrossEntropy
from timm.models.deit import VisionTransformerDistilled
from timm.optim._optim_factory import create_optimizer_v2
from timm.utils.model_ema import ModelEma
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import default_collate
from torchvision import transforms

from deit.config.execution import LabelLoss
from deit.config.material import Augment, Crop
from deit.config.schema import Config
from deit.data import reference
from deit.data.datamodule import KeyedData
from deit.data.keys import Key
from deit.data.mixing import smooth_targets
from deit.data.order import TrainBatches
from deit.data.policies import keep_a_bit
from deit.data.sources import ImageSource
from deit.training import probe


def transform(config: Config, data: KeyedData) -> Callable[[Image.Image], Tensor]:
    """timm's training transform: a PIL image to (3, S, S) float32, cropped, augmented, normalised and erased."""
    a, size = config.augment, config.image_size
    built = create_transform(
        size,
        is_training=True,
        scale=(a.crop_scale[0], a.crop_scale[1]),
        hflip=a.flip,
        color_jitter=a.color_jitter,
        auto_augment=a.auto_augment,
        interpolation="bicubic",
        mean=tuple(config.data.mean),
        std=tuple(config.data.std),
        re_prob=a.erasing,
        re_mode="pixel",
    )
    assert isinstance(built, transforms.Compose)
    steps = built.transforms
    if a.crop is not Crop.resized:
        steps[0] = reference.crop(a, size)  # as the official code replaces timm's first step for small images
    for step in steps:
        if hasattr(step, "ops") or hasattr(step, "policy"):
            keep_a_bit(step)
    return built


def batches(config: Config, data: KeyedData) -> Iterator[Tensor]:
    """The official data path over the images of ``data``'s batches, for ever: (B, 3, S, S), mixed and normalised."""
    rendered, mixing, source = transform(config, data), mix(config.augment, data.num_classes), data.dataset.train.source
    sampler = cast(TrainBatches, data.train_dataloader().batch_sampler)
    for epoch in count():
        sampler.set_epoch(epoch)
        for keys in sampler:
            images, labels = default_collate([_sample(rendered, source, key) for key in keys])
            yield mixing(images, labels)[0]


def _sample(rendered: Callable[[Image.Image], Tensor], source: ImageSource, key: Key) -> tuple[Tensor, int]:
    return rendered(source.image(key.index)), int(source.labels[key.index])


def mix(augment: Augment, num_classes: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Mixes a batch in place and makes (B, K) targets of its labels: timm's Mixup, or smoothing alone."""
    if not augment.mixes:
        return lambda images, labels: (images, smooth_targets(labels, num_classes, augment.smoothing))
    return Mixup(
        mixup_alpha=augment.mixup,
        cutmix_alpha=augment.cutmix,
        prob=augment.mix_probability,
        switch_prob=augment.switch_probability,
        label_smoothing=augment.smoothing,
        num_classes=num_classes,
    )


class Loop:
    """The official engine's training step.

    Args:
        net: timm's network.
        config: Optimiser, loss, mixing and precision.
        images: (B, 3, S, S) float32, normalised, as the official loader yields them.
        labels: (B,) int64.
        fused: Whether attention is computed by PyTorch's fused kernels; the official code's version of timm had its
            softmax written out.
        teacher: Whose decisions the distillation head of ``net`` learns; None: ``net`` has one head.
    """

    def __init__(
        self,
        net: nn.Module,
        config: Config,
        images: Tensor,
        labels: Tensor,
        *,
        num_classes: int,
        fused: bool,
        teacher: nn.Module | None = None,
    ) -> None:
        self.device, self.config = probe.device_of(config), config
        self.net = written_out(net, fused).to(self.device).train()
        self.teacher = None if teacher is None else teacher.to(self.device).eval()
        if isinstance(net, VisionTransformerDistilled):
            net.set_distilled_training(True)  # both heads apart, as the official model answers in training
        self.images, self.labels = images, labels
        self.mix = mix(config.augment, num_classes)
        binary = config.optim.loss is LabelLoss.binary
        self.criterion = BinaryCrossEntropy(smoothing=0.0, target_threshold=0.0) if binary else SoftTargetCrossEntropy()
        o = config.optim
        self.optimizer = create_optimizer_v2(
            self.net, opt=o.kind.value, lr=o.peak_lr, weight_decay=o.weight_decay, momentum=o.momentum
        )
        self.scaler = torch.amp.GradScaler(self.device, enabled=config.trainer.precision == "16-mixed")
        assert config.optim.ema is not None, "on by default in the official code"
        self.average = ModelEma(self.net, decay=config.optim.ema)

    def step(self) -> None:
        """Mix, answer, learn, average, in the official order; the loss is read in every step."""
        images, labels = self.images.to(self.device, copy=True), self.labels.to(self.device)
        images, targets = self.mix(images, labels)
        with probe.precision(self.config, self.device):
            loss = self._loss(images, targets)
        assert np.isfinite(loss.item())
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.device == "cuda":
            torch.cuda.synchronize()
        self.average.update(self.net)

    def _loss(self, images: Tensor, targets: Tensor) -> Tensor:
        """The labels' loss, and half of it and half of the teacher's where there is one: hard distillation."""
        answer = self.net(images)
        if self.teacher is None:
            return self.criterion(answer, targets)
        classes, distilled = answer
        with torch.no_grad():
            taught = self.teacher(images)
        alpha = self.config.distill.alpha
        return self.criterion(classes, targets) * (1 - alpha) + cross_entropy(distilled, taught.argmax(dim=1)) * alpha


def written_out(net: nn.Module, fused: bool) -> nn.Module:
    """``net`` with each attention fused or written out, in place."""
    for module in net.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = fused  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    return net
