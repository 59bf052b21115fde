"""The root of the configuration: every value that a run depends on, typed.

The root dataclass alone types every YAML file under conf/ and every override on the command line.
Derived values are properties, so that what is written to config.yaml is what was set.
"""

from dataclasses import dataclass, field

from omegaconf import MISSING

from deit.config import layout
from deit.config.execution import Logger, Optim, Trainer
from deit.config.material import Augment, Data, DataKind
from deit.config.network import Model, Resampling, Resolution, Scale
from deit.config.own_data import Own, OwnChoice
from deit.config.resources import Resources
from deit.config.teaching import Distill, Teacher, TeacherSource

PUBLISHED = "timm:"  # what `init` begins with where it names published weights and no file
OF_SWEEP = "sweep"  # what `init` is where an earlier job of the same sweep has the weights


@dataclass(kw_only=True)
class Config:
    """One training run."""

    name: str = MISSING
    """Label of the run; part of its folder's name."""
    seed: int = 0
    """Of initial weights, augmentation, mixing and dropout."""
    init: str | None = None
    """Weights the student starts from, at any resolution: a file, timm:<name of published weights>, or sweep: those of
    the earlier job of the same sweep whose cell is the beginning of this one's, all else being the same."""
    init_ema: bool = False
    """Take the averaged weights of ``init``, where it holds both."""
    init_positions: Resampling = Resampling.official
    """How position embeddings of another resolution are resampled."""
    resume: str = "auto"
    """auto: go on from the checkpoint in the run's own folder, if there is one; never; or a checkpoint's path."""
    plan: bool = False
    """Say what would be done, measure a few steps to say how long it takes, and do nothing else."""
    model: Model = MISSING
    teacher: Teacher = MISSING
    distill: Distill = MISSING
    scale: Scale = MISSING
    resolution: Resolution = MISSING
    data: Data = MISSING
    augment: Augment = MISSING
    optim: Optim = MISSING
    trainer: Trainer = MISSING
    logger: Logger = MISSING
    resources: Resources = MISSING
    own: Own = field(default_factory=Own)

    @property
    def image_size(self) -> int:
        """Side of the student's images in pixels."""
        if self.resolution.pixels is not None:
            return self.resolution.pixels
        if self.resolution.paper_pixels is not None:
            return self.resolution.paper_pixels // self.scale.shrink
        return self.scale.image_size

    @property
    def embed_dim(self) -> int:
        """Width of the student; 0 for networks of timm, which have their own."""
        return self.model.width_at(self.scale)

    @property
    def token(self) -> bool:
        """Whether the student has a distillation token."""
        return self.distill.token and self.model.family.has_token

    @property
    def num_classes(self) -> int | None:
        """Classes of the data; None where only opening the data set can tell (``data=hf``)."""
        if self.data.num_classes is None and self.data.kind is DataKind.folder and self.data.root is not None:
            return len(layout.class_names(self.data.root)) or None
        return self.data.num_classes

    @property
    def teacher_source(self) -> TeacherSource:
        """Where the teacher's weights come from, ``auto`` resolved."""
        if self.teacher.source is not TeacherSource.auto:
            return self.teacher.source
        return TeacherSource.checkpoint if self.teacher.from_file else self.scale.teacher_source

    @property
    def uses_teacher(self) -> bool:
        """Whether a teacher answers anything in this run."""
        return self.teacher.present and (self.distill.active or self.distill.compare)

    @property
    def fits_teacher(self) -> bool:
        """Whether the teacher is trained on the data, unless it was before."""
        return self.teacher_source in (TeacherSource.fit, TeacherSource.finetune)

    @property
    def own_undecided(self) -> bool:
        """Whether the recipe is to be chosen by looking at the images."""
        return self.own.choice is OwnChoice.auto and self.data.kind is DataKind.folder

    @property
    def is_dry_run(self) -> bool:
        """Whether the run only exercises the machinery, so that its figures mean nothing."""
        random_teacher = self.uses_teacher and self.teacher_source is TeacherSource.random
        return random_teacher or self.trainer.limit_batches is not None
