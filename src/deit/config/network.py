"""What the student is: groups `scale`, `model` and `resolution`.

YAML files hold values, these classes hold their meaning. Ranges within one group are checked in
``problems``; rules that span groups are in `rules`. Nothing here imports torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from omegaconf import MISSING

from deit.config.material import Crop
from deit.config.teaching import TeacherSource
from deit.config.values import MOST, Choice, not_positive, outside

PAPER_HEAD_DIM = 64  # Table 1: the same for all sizes
PAPER_DEPTH = 12  # Table 1
PAPER_SIDE = 224  # pixels

# Stochastic depth of DeiT III's fine-tuning by pixels, of each model (README_revenge.md of the official code).
DEIT3_FINETUNED_DROP_PATH = {"deit3_s": {384: 0.0}, "deit3_b": {224: 0.2, 384: 0.15}, "deit3_l": {224: 0.45, 384: 0.4}}
UNPUBLISHED_DROP_PATH = 0.1  # DeiT III-M: as in experiment=official/deit3_m


def deit3_finetuned_drop_path(model: str, paper_pixels: int | None, pixels: int | None) -> float:
    """Return the stochastic depth rate at which the official code fine-tunes a DeiT III; YAML calls it.

    A size that is not published gets the rate of the nearest one that is.

    Args:
        model: Name of the student.
        paper_pixels, pixels: As in `Resolution`.
    """
    side = pixels or paper_pixels or PAPER_SIDE
    rates = DEIT3_FINETUNED_DROP_PATH.get(model)
    return UNPUBLISHED_DROP_PATH if rates is None else rates[min(rates, key=lambda published: abs(published - side))]


class Family(Choice):
    """How a student is built."""

    deit = "deit"
    """The paper's transformer, with or without a distillation token."""
    deit3 = "deit3"
    """DeiT III (Touvron et al., 2022): LayerScale, and no position for the tokens; with or without a token."""
    cait = "cait"
    """CaiT (Touvron et al., 2021): two blocks of class attention at the end; no distillation token."""
    timm = "timm"
    """Any classifier of timm, by ``model.net``; no distillation token."""

    @property
    def has_token(self) -> bool:
        """Whether it has a place for a distillation token."""
        return self in (Family.deit, Family.deit3)


class Resampling(Choice):
    """How position embeddings get to another resolution."""

    official = "official"
    """Bicubic without antialiasing, as the official fine-tuning code."""
    timm = "timm"
    """Bicubic with antialiasing, as timm: another kernel even where the grid grows."""


@dataclass(kw_only=True)
class Scale:
    """One family at two sizes: `paper` as published, `nano` shrunk to what a laptop trains."""

    name: str = MISSING
    head_dim: int = MISSING
    """Width of an attention head that has 64 in the paper (Table 1)."""
    depth: int = MISSING
    """Blocks of a transformer that has 12 in the paper (Table 1)."""
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
    grid_epochs: int = MISSING
    """What ``epochs`` is in the paper's grids (experiment=paper/…), of which some have two dozen runs."""
    finetune_epochs: int = MISSING
    """Length of a fine-tuning at another resolution; the official code: 30."""
    finetune_batch_size: int = MISSING
    finetune_lr: float = MISSING
    """Its learning rate after the warm-up, not scaled by the batch; the official code: 5e-6."""

    def problems(self) -> Iterator[str]:
        yield from not_positive(
            scale__head_dim=self.head_dim,
            scale__depth=self.depth,
            scale__patch_size=self.patch_size,
            scale__image_size=self.image_size,
            scale__shrink=self.shrink,
            scale__teacher_epochs=self.teacher_epochs,
            scale__teacher_lr=self.teacher_lr,
            scale__teacher_batch_size=self.teacher_batch_size,
            scale__epochs=self.epochs,
            scale__batch_size=self.batch_size,
            scale__lr=self.lr,
            scale__grid_epochs=self.grid_epochs,
            scale__finetune_epochs=self.finetune_epochs,
            scale__finetune_batch_size=self.finetune_batch_size,
            scale__finetune_lr=self.finetune_lr,
        )
        yield from outside("scale.warmup_epochs", self.warmup_epochs, 0, MOST)
        if self.threads is not None:
            yield from not_positive(scale__threads=self.threads)


@dataclass(kw_only=True)
class Model:
    """The student, whose size is its number of heads and of blocks."""

    name: str = MISSING
    family: Family = Family.deit
    net: str | None = None
    """``model=timm``: timm's name of the network, with a tag or without."""
    heads: int | None = None
    """Attention heads: 3, 6, 12 for Ti, S, B (Table 1)."""
    head_dim: int = PAPER_HEAD_DIM
    """Width of one attention head at paper scale: 64 (Table 1), CaiT's 48."""
    depth: int = PAPER_DEPTH
    """Transformer blocks at paper scale (Table 1: 12)."""
    embed_dim: int | None = None
    """Width; null: heads times the width of a head at this scale."""
    mlp_ratio: float = 4.0
    """Hidden width of the MLP over the width (section 3)."""
    layer_scale: float | None = None
    """What the learnt factor of each residual branch starts at (CaiT, DeiT III); null: no such factor."""
    drop_path: float = 0.1
    """Stochastic depth rate of the last block (Table 9)."""
    drop_path_grows: bool = True
    """Whether the rate grows linearly from 0 at the first block, or is the same at all (DeiT III, CaiT)."""
    dropout: float = 0.0
    """Dropout rate after projections (Table 9: none)."""
    eval_mode: bool = False
    """Train without dropout and stochastic depth: how the original DeiT was fine-tuned (official issue 167)."""
    float32_attention: bool = False
    """Attention in float32 under any trainer.precision: the known cure for NaN in float16 (official issue 29)."""
    checkpoint_blocks: bool = False
    """Keep no activations inside blocks and compute them again for the gradient: less memory, a third more time."""

    def width_at(self, scale: Scale) -> int:
        """Width of the student; 0 for networks of timm, which have their own."""
        if self.embed_dim is not None:
            return self.embed_dim
        return (self.heads or 0) * (self.head_dim * scale.head_dim // PAPER_HEAD_DIM)

    def blocks_at(self, scale: Scale) -> int:
        """Transformer blocks of the student, those of class attention apart."""
        return max(1, self.depth * scale.depth // PAPER_DEPTH)

    def problems(self) -> Iterator[str]:
        yield from not_positive(model__head_dim=self.head_dim, model__depth=self.depth, model__mlp_ratio=self.mlp_ratio)
        if self.heads is not None:
            yield from not_positive(model__heads=self.heads)
        if self.layer_scale is not None:
            yield from not_positive(model__layer_scale=self.layer_scale)
        yield from outside("model.drop_path", self.drop_path, 0, 1, open_high=True)
        yield from outside("model.dropout", self.dropout, 0, 1, open_high=True)
        if self.family is Family.timm and self.net is None:
            yield "model=timm needs a network; pass model.net=<a timm name, such as resnet50>"
        if self.family is not Family.timm:
            if self.heads is None:
                yield f"model={self.name} needs its number of attention heads; pass model.heads=<a positive number>"
            if self.net is not None:
                yield f"model.net={self.net} would be ignored with model={self.name}; pass model=timm"
        if self.family is Family.cait and self.layer_scale is None:
            yield f"model={self.name} is built on LayerScale; pass model.layer_scale=1e-5"


@dataclass(kw_only=True)
class Resolution:
    """The size of the images that the student sees."""

    name: str = MISSING
    paper_pixels: int | None = None
    """Side by the paper's name for it (Table 10: 160, 224, 320, 384); null: the scale's own."""
    pixels: int | None = None
    """Side in actual pixels; wins over paper_pixels."""

    def problems(self) -> Iterator[str]:
        if self.paper_pixels is not None:
            yield from not_positive(resolution__paper_pixels=self.paper_pixels)
        if self.pixels is not None:
            yield from not_positive(resolution__pixels=self.pixels)
