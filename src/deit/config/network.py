"""What the networks are: groups `scale`, `model`, `teacher`, `distill` and `resolution`.

YAML files hold values, these classes hold their meaning. Ranges within one group are checked in
``problems``; rules that span groups are in `rules`. Nothing here imports torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from omegaconf import II, MISSING

from deit.config.material import Crop
from deit.config.values import Choice, not_positive, outside


class Method(Choice):
    """How the teacher's answer becomes a loss."""

    none = "none"
    soft = "soft"
    hard = "hard"


class KLReduction(Choice):
    """What the soft loss divides the summed KL divergence by."""

    batchmean = "batchmean"
    """The batch size: the expectation that the paper's equation (2) means."""
    numel = "numel"
    """Batch size times classes: what the official code does, K times smaller on K classes."""


class TeacherSource(Choice):
    """Where the teacher's weights come from."""

    auto = "auto"
    """What the scale says: ``fit`` at nano scale, ``pretrained`` at paper scale."""
    pretrained = "pretrained"
    """timm's published weights for ``teacher.name``."""
    checkpoint = "checkpoint"
    """The file in ``teacher.checkpoint``."""
    fit = "fit"
    """Trained once on the same data, kept under logs/teachers/ and reused by every later run."""
    random = "random"
    """No training at all: for dry runs that only exercise the machinery."""


@dataclass(kw_only=True)
class Scale:
    """One family at two sizes: `paper` as published, `nano` shrunk to what a laptop trains."""

    name: str = MISSING
    head_dim: int = MISSING
    """Width of one attention head; the paper fixes 64 (Table 1)."""
    depth: int = MISSING
    """Transformer blocks; the paper: 12."""
    patch_size: int = MISSING
    """Side of a patch in pixels; the paper: 16."""
    image_size: int = MISSING
    """Side of the image in pixels unless `resolution` says otherwise; the paper: 224."""
    shrink: int = MISSING
    """Paper pixels per pixel of this scale: `resolution=384` means 384 / shrink pixels."""
    teacher_source: TeacherSource = MISSING
    """What ``teacher.source=auto`` stands for."""
    teacher_epochs: int = MISSING
    """Epochs for which a teacher is fitted."""
    teacher_lr: float = MISSING
    """Peak learning rate for fitting a teacher, per 512 samples of a batch."""
    teacher_batch_size: int = MISSING
    """Samples an optimiser step while a teacher is fitted."""
    threads: int | None = None
    """CPU threads that pay for networks of this size; null: as many as there are cores."""
    crop: Crop = MISSING
    """The training crop that suits images of this size."""
    epochs: int = MISSING
    batch_size: int = MISSING
    warmup_epochs: int = MISSING
    lr: float = MISSING
    """AdamW's peak learning rate per 512 samples of a batch; the paper: 5e-4 (Table 9)."""

    def problems(self) -> Iterator[str]:
        yield from not_positive(
            scale__head_dim=self.head_dim,
            scale__depth=self.depth,
            scale__patch_size=self.patch_size,
            scale__image_size=self.image_size,
            scale__shrink=self.shrink,
        )


@dataclass(kw_only=True)
class Model:
    """The student: a DeiT, whose size is its number of heads."""

    name: str = MISSING
    heads: int = MISSING
    """Attention heads: 3, 6, 12 for Ti, S, B (Table 1)."""
    embed_dim: int | None = None
    """Width; null: heads times the scale's head_dim."""
    mlp_ratio: float = 4.0
    """Hidden width of the MLP over the width (section 3)."""
    drop_path: float = 0.1
    """Stochastic depth rate of the last block, growing linearly from 0 (Table 9)."""
    dropout: float = 0.0
    """Dropout rate after projections (Table 9: none)."""

    def problems(self) -> Iterator[str]:
        yield from not_positive(model__heads=self.heads, model__mlp_ratio=self.mlp_ratio)
        yield from outside("model.drop_path", self.drop_path, 0, 1, open_high=True)
        yield from outside("model.dropout", self.dropout, 0, 1, open_high=True)


@dataclass(kw_only=True)
class TeacherFit:
    """How a teacher is trained when its source is ``fit``."""

    epochs: int = II("scale.teacher_epochs")
    lr: float = II("scale.teacher_lr")
    """Peak learning rate per 512 samples of a batch."""
    batch_size: int = II("scale.teacher_batch_size")
    weight_decay: float = 0.05
    seed: int = 0
    """Apart from the run's seed, so that runs of several seeds share one teacher."""

    def problems(self) -> Iterator[str]:
        yield from not_positive(
            teacher__fit__epochs=self.epochs, teacher__fit__lr=self.lr, teacher__fit__batch_size=self.batch_size
        )
        yield from outside("teacher.fit.weight_decay", self.weight_decay, 0, 1)


@dataclass(kw_only=True)
class Teacher:
    """The network whose answers the student learns; ``name: none`` is the absence of one."""

    name: str = MISSING
    """A timm model name, or ``none``."""
    source: TeacherSource = TeacherSource.auto
    checkpoint: str | None = None
    """Weights file (.pth, .safetensors, or a Lightning .ckpt of ours)."""
    num_classes: int | None = None
    """Classes that the published weights (or the checkpoint) predict; null: those of the data."""
    image_size: int | None = None
    """Side of the images the teacher is given; null: what its weights were trained at."""
    nano_width: float = 0.125
    """Width of the nano form over the paper's."""
    fit: TeacherFit = field(default_factory=TeacherFit)

    @property
    def present(self) -> bool:
        return self.name != "none"

    def problems(self) -> Iterator[str]:
        yield from outside("teacher.nano_width", self.nano_width, 0, 1, open_low=True)
        if self.image_size is not None:
            yield from not_positive(teacher__image_size=self.image_size)
        yield from self.fit.problems()


@dataclass(kw_only=True)
class Distill:
    """How the student learns from the teacher."""

    method: Method = MISSING
    token: bool = MISSING
    """Whether the student has a distillation token and head; without, both losses meet in the class head."""
    alpha: float = 0.5
    """Weight of the teacher's part of the loss, in [0, 1]: the paper's lambda (equation 2)."""
    tau: float = 1.0
    """Temperature of the soft loss (equation 2)."""
    kl: KLReduction = KLReduction.batchmean
    """What the soft loss divides by."""
    compare: bool = False
    """Measure agreement with the teacher although ``method`` is none."""

    @property
    def active(self) -> bool:
        return self.method is not Method.none

    def problems(self) -> Iterator[str]:
        yield from outside("distill.alpha", self.alpha, 0, 1)
        yield from outside("distill.tau", self.tau, 0, 100, open_low=True)


@dataclass(kw_only=True)
class Resolution:
    """The size of the images that the student sees."""

    name: str = MISSING
    paper_pixels: int | None = None
    """Side by the paper's name for it (Table 10: 160, 224, 320, 384); null: the scale's own."""
    pixels: int | None = None
    """Side in actual pixels; wins over paper_pixels."""

    def problems(self) -> Iterator[str]:
        for key, value in (("resolution.paper_pixels", self.paper_pixels), ("resolution.pixels", self.pixels)):
            if value is not None and value <= 0:
                yield f"{key}={value} must be above zero; pass {key}=<a positive number>"
