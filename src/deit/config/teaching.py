"""Who teaches whom: groups `teacher` and `distill`.

YAML files hold values, these classes hold their meaning. Nothing here imports torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from omegaconf import II, MISSING

from deit.config.values import MOST_SEED, Choice, not_positive, outside


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


class Fusion(Choice):
    """How the two heads make one decision."""

    softmax = "softmax"
    """The sum of their softmax outputs, as the paper has it (section 3)."""
    logits = "logits"
    """The mean of their logits, as the official code evaluates; another decision where the heads differ."""


class BankMode(Choice):
    """What becomes of a teacher's answers."""

    off = "off"
    """The teacher answers every step, and nothing is kept."""
    record = "record"
    """It answers every step, and its answers are kept."""
    replay = "replay"
    """Kept answers take its place; a missing one ends the run."""
    auto = "auto"
    """Kept answers where there are any, else it answers and they are kept."""


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
    finetune = "finetune"
    """Trained as ``fit`` is, but from timm's published weights, under a new head for the classes of the data."""
    random = "random"
    """No training at all: for dry runs that only exercise the machinery."""


@dataclass(kw_only=True)
class TeacherFit:
    """How a teacher is trained when its source is ``fit`` or ``finetune``."""

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
        yield from outside("teacher.fit.seed", self.seed, 0, MOST_SEED)


@dataclass(kw_only=True)
class Teacher:
    """The network whose answers the student learns; ``name: none`` is the absence of one."""

    name: str = MISSING
    """A timm model name, ``ensemble``, or ``none``."""
    members: list[str] = field(default_factory=list)
    """timm names of the networks of an ensemble, whose probabilities are averaged."""
    source: TeacherSource = TeacherSource.auto
    checkpoint: str | None = None
    """Weights file (.pth, .safetensors, or a Lightning .ckpt of ours)."""
    checkpoints: list[str] = field(default_factory=list)
    """Weights files of an ensemble, one a member in their order."""
    num_classes: int | None = None
    """Classes that the published weights (or the checkpoint) predict; null: those of the data."""
    image_size: int | None = None
    """Side of the images the teacher is given; null: what its weights were trained at."""
    same_size: bool = False
    """Give the teacher images of the student's size: how the paper fine-tunes at 384 pixels (section 3)."""
    nano_width: float | None = None
    """Width of the nano form over the paper's; null: what suits the family."""
    fit: TeacherFit = field(default_factory=TeacherFit)

    @property
    def present(self) -> bool:
        return self.name != "none"

    @property
    def is_ensemble(self) -> bool:
        return self.name == "ensemble"

    @property
    def from_file(self) -> bool:
        """Whether a weights file is named."""
        return self.checkpoint is not None or bool(self.checkpoints)

    def problems(self) -> Iterator[str]:
        if self.num_classes is not None:
            yield from not_positive(teacher__num_classes=self.num_classes)
        if self.nano_width is not None:
            yield from outside("teacher.nano_width", self.nano_width, 0, 1, open_low=True)
        if self.image_size is not None:
            yield from not_positive(teacher__image_size=self.image_size)
            if self.same_size:
                yield (
                    f"teacher.image_size={self.image_size} and teacher.same_size=true contradict each other;"
                    " pass teacher.image_size=null or teacher.same_size=false"
                )
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
    fusion: Fusion = Fusion.softmax
    """By which fusion of the two heads a student with a token is judged (``acc1``); both are reported."""
    bank: BankMode = BankMode.off
    """Whether the teacher's answers are stored and replayed: they depend on view and image alone."""
    bank_path: str | None = None
    """Folder of the bank; null: below logs/banks, named after what it holds."""
    bank_logits: int = 32
    """Largest logits kept of an answer for soft distillation; the rest is one sum. As many as there are classes are all
    kept, exactly. Hard labels need none."""
    bank_part: str = "1/1"
    """Which share of the epochs ``src/bank.py build`` makes: 2/4 is the second of four that work side by side."""
    views: int | None = None
    """Epochs after which the views, and so the answers, come again; null: never."""
    compare: bool = False
    """Measure agreement with the teacher although ``method`` is none."""

    @property
    def active(self) -> bool:
        return self.method is not Method.none

    def problems(self) -> Iterator[str]:
        yield from outside("distill.alpha", self.alpha, 0, 1)
        yield from not_positive(distill__bank_logits=self.bank_logits)
        if self.views is not None:
            yield from not_positive(distill__views=self.views)
        number, _, parts = self.bank_part.partition("/")
        if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
            yield f"distill.bank_part={self.bank_part} is no share; pass distill.bank_part=1/4 for the first of four"
        yield from outside("distill.tau", self.tau, 0, 100, open_low=True)
