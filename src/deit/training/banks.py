"""The bank of a run: which one it is, and that it still says what the teacher says."""

import dataclasses
import hashlib
import logging
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from deit.config import compose
from deit.config.errors import ConfigError
from deit.config.material import Decode
from deit.config.schema import Config
from deit.config.teaching import BankMode, Method
from deit.data import fast
from deit.data.datamodule import KeyedData
from deit.data.sources import DataSet
from deit.distillation.bank import Bank, CorruptAnswers
from deit.distillation.targets import BankTargets, LiveTargets, Targets
from deit.evaluation import metrics
from deit.models.teachers import FrozenTeacher
from deit.training import probe, teachers
from deit.training.modules import DistillationModule

log = logging.getLogger(__name__)

FOLDER = Path("logs/banks")
SCHEMA = 2
RENDERING = ("torch", "torchvision", "timm", "numpy", "pillow")  # whose releases may change a pixel
CHECKED_PAIRS = 64
AGREEMENT = 99.0  # percent; two kinds of hardware round differently, another image or teacher agrees far less
PROBABILITY = 0.05  # total variation distance of two answers that are the same; bfloat16 on other hardware: about 0.02


def targets(config: Config, dataset: DataSet, teacher: FrozenTeacher) -> Targets:
    """Whom a run's student learns from.

    Raises:
        ConfigError: if ``distill.bank_path`` holds answers to something else, or replay finds no bank.
    """
    if config.distill.bank is BankMode.off:
        return LiveTargets(teacher)
    bank = opened(config, dataset, teacher, must_exist=config.distill.bank is BankMode.replay)
    log.info(f"bank {bank.folder}: {len(list(bank.folder.glob('view_*')))} views")
    return BankTargets(bank, teacher, config.distill.bank)


def opened(config: Config, dataset: DataSet, teacher: FrozenTeacher, *, must_exist: bool) -> Bank:
    """The bank of what ``config`` asks of ``teacher``, made unless it ``must_exist``.

    Raises:
        ConfigError: as `targets`.
    """
    top = _top(config)
    what = identity(config, dataset, teacher, top)
    folder = _folder(config, teacher, what)
    if must_exist and not folder.is_dir():
        raise ConfigError(
            f"there is no bank {folder} of these data, views and teacher; pass distill.bank=auto to make it, or the"
            " settings with which it was made"
        )
    source = dataset.train.source
    return Bank(folder, what, num_images=len(source), num_classes=len(dataset.classes), top=top)


def folder_of(config: Config, dataset: DataSet, teacher: FrozenTeacher) -> Path:
    """Where the bank of what ``config`` asks of ``teacher`` lies, or would."""
    return _folder(config, teacher, identity(config, dataset, teacher, _top(config)))


def _folder(config: Config, teacher: FrozenTeacher, what: dict[str, object]) -> Path:
    if config.distill.bank_path is not None:
        return Path(config.distill.bank_path)
    digest = compose.digest(what)[:12]
    folder = FOLDER / f"{config.data.name}-{teacher.slug}-{digest}"
    before = FOLDER / f"{config.data.name}-{teacher.name}-{digest}"  # folders had the published name
    return before if before.is_dir() and not folder.is_dir() else folder


def _top(config: Config) -> int:
    """Logits kept of an answer: hard labels need none."""
    return config.distill.bank_logits if config.distill.method is Method.soft else 0


def identity(config: Config, dataset: DataSet, teacher: FrozenTeacher, top: int) -> dict[str, object]:
    """All that an answer depends on, as plain data."""
    augment = dataclasses.asdict(config.augment)
    for label_only in ("name", "smoothing", "eval_crop"):
        del augment[label_only]
    made_by = fast.releases() if config.data.decode is Decode.fast else {}
    return {
        "schema": SCHEMA,
        "data": teachers.data_identity(dataset, config.data),
        "images": len(dataset.train.source),
        "colours": [*config.data.mean, *config.data.std],
        "image size": config.image_size,
        "augmentation": compose.plain(augment),
        "seed": config.seed,
        "teacher": teacher.name,
        "teacher's weights": weights_hash(teacher),
        "teacher's images": teacher.network.sizes(config.image_size),
        "precision": config.trainer.precision,
        "logits": "all" if top >= len(dataset.classes) else top,
        "decoding": [str(config.data.decode), config.data.packed_side],
        "versions": {name: version(name) for name in RENDERING} | made_by,
    }


def weights_hash(teacher: FrozenTeacher) -> str:
    """SHA-256 of a teacher's weights and of what it is given them for."""
    digest = hashlib.sha256()
    for name, tensor in sorted(teacher.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class BankCheck(Callback):
    """Asks the teacher again about some of the kept answers, before the first step.

    Other releases of a library, another order of files or another normalisation leave a loss that looks normal.
    """

    def __init__(self, kept: BankTargets, data: KeyedData, config: Config) -> None:
        self.kept, self.data, self.config = kept, data, config

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare, and say how many agree.

        Raises:
            ConfigError: if fewer than 99 % do.
        """
        kept, epochs = self.kept, spread(self.config, 2)
        again = asked_again(
            self.config,
            kept.bank,
            kept.teacher,
            self.data,
            epochs,
            pl_module.device,
            mends=kept.mode != BankMode.replay,
        )
        compare(kept.bank, again, tau=self.config.distill.tau)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say how often the teacher was spared."""
        assert isinstance(pl_module, DistillationModule)
        views = pl_module.teacher_views()
        log.info(f"bank {self.kept.bank.folder}: {views['replayed']} replayed, {views['asked']} recorded")


def spread(config: Config, number: int) -> list[int]:
    """So many of the epochs whose views differ, from the first to the last; all where there are no more."""
    last = (config.distill.views or config.optim.epochs) - 1
    return sorted({round(last * i / (number - 1)) for i in range(number)})


def asked_again(
    config: Config,
    bank: Bank,
    teacher: FrozenTeacher,
    data: KeyedData,
    epochs: Iterable[int],
    device: torch.device,
    *,
    mends: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """The teacher's answers to the first pairs of some epochs, as a run would hear them, and the kept ones.

    The teacher's are (B, K) logits, the kept ones also those, or (B,) decisions. Epochs that are not kept are left out.

    mends: Corrupt answers are left out, too, because the teacher is asked for them again.
    """
    for epoch in epochs:
        batch = data.rendered(epoch, CHECKED_PAIRS, device)
        own = ~batch.substituted
        views, indices = batch.views[own], batch.indices[own]
        if not len(views) or not bank.known(views, indices):
            continue
        try:
            kept = bank.read(views, indices).to(device)
        except CorruptAnswers:
            if not mends:
                raise
            continue
        with probe.precision(config, device.type):
            live = teacher.answer(batch.images[own.to(device)])
        yield live, kept


def compare(bank: Bank, answers: Iterable[tuple[Tensor, Tensor]], *, tau: float) -> tuple[float, int]:
    """Percentage of kept answers that are the teacher's, and of how many; ``answers`` as `asked_again`.

    An answer is the teacher's if it decides alike and, where logits are kept, has the same probabilities up to
    `PROBABILITY`, at temperature 1 and at ``tau``.

    Raises:
        ConfigError: if fewer than 99 % are.
    """
    right, total = 0, 0
    for live, replayed in answers:
        alike = metrics.agreement(live, replayed) > 0
        if replayed.dim() > 1:
            expected = bank.rounded(live).to(replayed.device)
            for temperature in (1.0, tau):
                shares = [(logits.float() / temperature).softmax(dim=-1) for logits in (expected, replayed)]
                alike &= (shares[0] - shares[1]).abs().sum(dim=-1) / 2 <= PROBABILITY
        right += int(alike.sum())
        total += len(live)
    if not total:
        return 100.0, 0
    agreed = 100 * right / total
    log.info(f"bank {bank.folder}: {agreed:.2f} % of {total} kept answers are the teacher's")
    if agreed < AGREEMENT:
        raise ConfigError(
            f"the bank {bank.folder} agrees with the teacher on {agreed:.2f} % of {total} views, less than"
            f" {AGREEMENT:g} %: it is damaged or of something else; delete it, or pass distill.bank=off"
        )
    return agreed, total
