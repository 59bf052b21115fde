"""One training run from configuration to result."""

import logging
import math
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import Checkpoint

from deit.config import cells, compose, rules
from deit.config.adapt import adapted
from deit.config.errors import ConfigError
from deit.config.preflight import start_of
from deit.config.schema import OF_SWEEP, Config
from deit.config.teaching import TeacherSource
from deit.data.datamodule import KeyedData
from deit.data.identity import identity_of
from deit.data.packing import packed
from deit.data.sources import DataSet, open_dataset
from deit.distillation.targets import BankTargets
from deit.models.students import Student, build_student
from deit.models.teachers import FrozenTeacher
from deit.models.weights import load_student, local_weights
from deit.training import beginning, best_checkpoint, checkpoints, loggers, summary, teachers
from deit.training.banks import BankCheck, targets
from deit.training.beginning import Beginning
from deit.training.best_checkpoint import BestCheckpoint
from deit.training.checkpoints import Description, LastCheckpoint
from deit.training.closing import Closing
from deit.training.decisions import TeacherCheck
from deit.training.faults import explained
from deit.training.folder import RunFolder, finished, is_rank_zero, is_recorded, refuse_another_run, refuse_unfinished
from deit.training.modules import DistillationModule, StudentModule
from deit.training.patience import Patience
from deit.training.preemption import Signals, watched
from deit.training.trainer import end_ranks, refuse_missing_devices, run_trainer

log = logging.getLogger(__name__)


def train(config: Config, folder: Path, overrides: list[str]) -> float:
    """Train what ``config`` describes into ``folder`` and measure it once on the test split.

    Returns:
        Validation accuracy of the best epoch in percent, of the fused head where there are two: what a sweeper may
        optimise. The test accuracy is for the report alone.

    Raises:
        ConfigError: for mistakes that only the data or the weights could reveal; nothing is written then.
        RunError: if it starts from a job of its sweep that is not done.
    """
    composed = config
    config = cells.placed(config, overrides, start_of(folder))
    if beginning.keeps(config, folder) and (known := finished(folder, composed, config)) is not None:
        log.info(f"{folder} is done already, with test/acc1 {known['test/acc1']:.2f}; resume=never would run it again")
        return known.get("val/acc1", math.nan)
    refuse_missing_devices(config)
    if composed.init == OF_SWEEP:
        refuse_unfinished(Path(str(config.init)).parents[1])
    dataset = open_dataset(config.data)
    fetch_weights(config, len(dataset.classes))
    run, ran, start = _opened(composed, config, dataset, folder, overrides)
    try:
        if is_rank_zero():
            start.bring(folder)
        with explained(ran), watched() as signals:
            return _train(ran, run, packed(dataset, ran.data), start, signals)
    except BaseException as error:
        run.stopped(error)
        raise


def _opened(
    composed: Config, config: Config, dataset: DataSet, folder: Path, overrides: list[str]
) -> tuple[RunFolder, Config, Beginning]:
    """Open the run's folder, once it is known what runs there and where it begins.

    Args:
        composed: The configuration before its place in a sweep was filled in.
        config: The same after it.
        dataset, folder, overrides: As `train`.
    """
    ran = suited(config, dataset)
    fingerprints = (compose.fingerprint(composed), compose.fingerprint(config))
    refuse_another_run(folder, ran, fingerprints)
    identity = identity_of(dataset) if is_rank_zero() else None
    is_known = is_recorded(folder, composed, config)
    start = beginning.find(ran, dataset, identity, folder, is_known=is_known)
    run = RunFolder(
        folder,
        ran,
        overrides,
        fingerprints=fingerprints,
        identity=identity,
        is_anew=start.is_anew,
        facts={"adapted": adapted(config, len(dataset.train))[1], "attempt": start.attempt(config, folder)},
    )
    return run, ran, start


def fetch_weights(config: Config, num_classes: int) -> None:
    """Download the published weights that a run starts from, before it has a folder: one without them leaves none.

    Raises:
        ConfigError: if they cannot be had.
    """
    if config.init is not None:
        local_weights(config.init)
    if config.uses_teacher:
        for member in teachers.members(config):
            teachers.fetch(member, num_classes)


def suited(config: Config, dataset: DataSet) -> Config:
    """``config`` with batch and warm-up for the images there are, each change said with its reason.

    Raises:
        ConfigError: if what the user set does not go with them.
    """
    now, reasons = adapted(config, len(dataset.train))
    for reason in reasons:
        log.info(reason)
    if problems := rules.problems(now):
        raise ConfigError.of(problems)
    return now


def _train(config: Config, run: RunFolder, dataset: DataSet, start: Beginning, signals: Signals) -> float:
    configure_torch(config)
    data, student = keyed_data(config, dataset), initial_student(config, dataset)
    module = build_module(config, dataset, student, teachers.obtain(config, dataset, signals))
    opened = loggers.build(config, run, data, step=start.step)
    closing = Closing(config, run, data)
    extra = [
        *_checks(config, module, data),
        closing,
        Description(config, dataset, run.data),
        *loggers.showcases(opened),
    ]
    trainer = run_trainer(config, run, opened, extra, signals)
    try:
        trainer.fit(module, data, ckpt_path=start.checkpoint, weights_only=True)
        signals.refuse_further()
        best_checkpoint.check(trainer, run.best_checkpoint)
        trainer.test(module, data, ckpt_path=run.best_checkpoint, weights_only=True, verbose=False)
        result = _finish(trainer, module, data, run, config, closing)
        loggers.summarise(opened, run.metrics)
        return result
    except BaseException:
        end_ranks(trainer)
        raise
    finally:
        loggers.close(opened)


def keyed_data(config: Config, dataset: DataSet) -> KeyedData:
    """The data module of a run."""
    return KeyedData(
        dataset,
        config.data,
        config.augment,
        image_size=config.image_size,
        batch_size=config.optim.batch_size // config.trainer.accumulate,
        seed=config.seed,
        views=config.distill.views,
    )


def configure_torch(config: Config) -> None:
    """Settings of the process; set for each job, for a sweep's jobs share one."""
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    torch.set_float32_matmul_precision("high")  # TF32 where the GPU has it; no effect on the CPU
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


def initial_student(config: Config, dataset: DataSet) -> Student:
    """The student with the seed's fresh weights, or those of ``init``.

    Raises:
        ConfigError: if it cannot be built at this image size, or ``init`` is of another form.
    """
    seed_everything(config.seed, workers=True, verbose=False)
    student = make_student(config, num_classes=len(dataset.classes))
    if config.init is not None:
        report = load_student(student, config.init, positions=config.init_positions, ema=config.init_ema)
        log.info(f"init {config.init}: {report.summary()}")
    if config.trainer.channels_last:
        student.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - torch's stub forgets it
    return student


def build_module(config: Config, dataset: DataSet, student: Student, teacher: FrozenTeacher | None) -> StudentModule:
    """How the student learns."""
    if not config.distill.active:
        module = StudentModule(student, config.optim, seed=config.seed, fusion=config.distill.fusion, teacher=teacher)
    else:
        assert teacher is not None, "the rules refuse distillation without a teacher"
        chosen = targets(config, dataset, teacher)
        module = DistillationModule(student, teacher, config.optim, config.distill, seed=config.seed, targets=chosen)
    if config.trainer.compile:
        student.compile()
        if teacher is not None:
            teacher.network.compile()
    return module


def make_student(config: Config, *, num_classes: int) -> Student:
    """The student of ``config`` with fresh weights."""
    return build_student(
        config.model,
        config.scale,
        image_size=config.image_size,
        token=config.token,
        num_classes=num_classes,
        mean=config.data.mean,
        std=config.data.std,
        normalised=True,
    )


def _checks(config: Config, module: StudentModule, data: KeyedData) -> list[Callback]:
    """A teacher is measured before the first step, unless it was asked to be random; a bank is compared with it."""
    checks: list[Callback] = []
    if module.decisions is not None and config.teacher_source is not TeacherSource.random:
        checks.append(TeacherCheck(module.decisions, data, limit=config.trainer.limit_batches))
    if isinstance(module, DistillationModule) and isinstance(module.targets, BankTargets):
        checks.append(BankCheck(module.targets, data, config))
    return checks


def _finish(
    trainer: Trainer, module: StudentModule, data: KeyedData, run: RunFolder, config: Config, closing: Closing
) -> float:
    """Record the result and show it."""
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
    if "test/teacher_acc1" in metrics:
        metrics["teacher/acc1"] = metrics.pop("test/teacher_acc1")
    best, last = (cast(Checkpoint, callback) for callback in trainer.checkpoint_callbacks)
    assert isinstance(best, BestCheckpoint) and isinstance(last, LastCheckpoint)
    assert best.best_model_score is not None, "every epoch ends with validation"
    metrics["val/acc1"] = float(best.best_model_score)
    parameters = sum(parameter.numel() for parameter in module.student.parameters())
    timing = {"fit_s": last.fit_seconds, "images_per_s": module.images_per_s} | closing.timing
    facts: dict[str, object] = {
        "test_split": data.dataset.test_split,
        "skipped": data.skipped.record(),
        "parameters": parameters,
        "dry_run": config.is_dry_run,
    } | closing.facts
    if isinstance(patience := trainer.early_stopping_callback, Patience) and patience.stopped is not None:
        facts["stopped"] = patience.stopped
    if isinstance(module, DistillationModule):
        timing["teacher_s"] = module.teacher_time.total()
        facts["teacher"] = module.teacher_views()
    run.done(metrics, timing, **facts)
    if is_rank_zero():
        checkpoints.forget(run.checkpoints, (checkpoints.PREVIOUS,))  # what is done needs no spare
        title = f"{config.name}{' (DRY RUN)' if config.is_dry_run else ''}"
        beside = cast(dict[str, Any], closing.facts.get("test", {}))
        speed = timing["images_per_s"]
        summary.show(title, metrics, beside, parameters=parameters, images_per_s=speed, folder=run.path)
    return metrics["val/acc1"]
