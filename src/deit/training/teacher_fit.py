"""The fit of a teacher on the data of a run, with checkpoints from which it resumes exactly."""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch import Trainer
from torch import nn

from deit.config import compose
from deit.config.errors import ConfigError, RunError, written
from deit.config.execution import Optim, OptimizerKind
from deit.config.material import Augment
from deit.config.schema import Config
from deit.config.teacher_names import network_name
from deit.config.teaching import TeacherFit, TeacherSource
from deit.data.datamodule import KeyedData
from deit.data.sources import DataSet
from deit.models.files import save_weights
from deit.models.teachers import TeacherNetwork
from deit.training import checkpoints
from deit.training.checkpoints import LastCheckpoint
from deit.training.modules import TeacherModule
from deit.training.preemption import Preempted, Signals
from deit.training.trainer import plain_trainer

log = logging.getLogger(__name__)


def fit(
    config: Config,
    dataset: DataSet,
    network: TeacherNetwork,
    augment: Augment,
    file: Path,
    metadata: Mapping[str, str],
    signals: Signals,
) -> None:
    """Train ``network``, the teacher of ``config``, on the data of the run and keep its weights in ``file``.

    Until it is written there are checkpoints beside it, from which another process resumes exactly. ``metadata`` stands
    in it beside what is known here.

    Raises:
        Preempted: at a signal, after a checkpoint.
        RunError: if the weights diverged.
    """
    recipe = config.teacher.fit
    name = f"teacher {network_name(config.teacher.name)}"
    started = " from its published weights" if config.teacher_source is TeacherSource.finetune else ""
    log.info(
        f"fitting {name}{started} on {len(dataset.train)} images for {recipe.epochs} epochs;"
        f" later runs will find it in {file}"
    )
    module = TeacherModule(network, _optim(recipe), seed=recipe.seed)
    inputs = network.preprocess.inputs
    size = inputs.image_size or config.image_size
    data = KeyedData(dataset, config.data, augment, image_size=size, batch_size=recipe.batch_size, seed=recipe.seed)
    kept = LastCheckpoint(file.with_suffix(".fit"), config.trainer, signals)
    trainer = plain_trainer(config.trainer, epochs=recipe.epochs, what=name, keeping=kept)
    try:
        trainer.fit(module, data, ckpt_path=_resumable(kept.folder), weights_only=True)
        signals.refuse_further()
    except Preempted as signal:
        log.warning(f"{signal}: the fit of the teacher is kept in {kept.folder}; the same command resumes it")
        raise
    _refuse_divergence(network.net, config, kept.folder)
    accuracy = _accuracy(trainer, module, data)
    log.info(f"teacher fitted in {kept.fit_seconds:.0f} s: {accuracy:.2f} % on validation")
    form = {
        "scale": compose.plain(config.scale),
        "nano_width": config.teacher.nano_width,
        "classes": dataset.classes,
        "crop": augment.eval_share,
        "upright": config.data.shows_upright,
    }
    known = {"num_classes": str(len(dataset.classes)), "val_acc1": f"{accuracy:.4f}", "form": json.dumps(form)}
    save_weights(file, network.net.state_dict(), {**metadata, **inputs.metadata(), **known})
    shutil.rmtree(kept.folder, ignore_errors=True)


def _optim(recipe: TeacherFit) -> Optim:
    """The optimiser of a fit."""
    return Optim(
        kind=OptimizerKind.adamw,
        lr=recipe.lr,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        warmup_epochs=recipe.epochs // 10,  # long enough for AdamW's moments, short beside the training
        weight_decay=recipe.weight_decay,
    )


def _accuracy(trainer: Trainer, module: TeacherModule, data: KeyedData) -> float:
    """Accuracy on the validation split in percent, after the last epoch."""
    if "val/acc1" not in trainer.callback_metrics:  # an earlier process had trained all epochs
        trainer.validate(module, data, verbose=False)
    return float(trainer.callback_metrics["val/acc1"])


def _resumable(folder: Path) -> Path | None:
    """The checkpoint from which a fit resumes; None for its beginning. The folder of checkpoints is there afterwards.

    Raises:
        RunError: if the disk does not take the folder.
    """
    with written(folder, "nothing was begun"):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        found, corrupt = checkpoints.newest(folder)
        step = 0 if found is None else checkpoints.step_of(found)
    except ConfigError as fault:
        log.warning(f"{fault}; the teacher is fitted from the beginning")
        checkpoints.forget(folder, (checkpoints.LAST, checkpoints.PREVIOUS, checkpoints.NEXT))
        return None
    for file in corrupt:
        log.warning(f"{file} is corrupt (checksum mismatch); resuming from the checkpoint before it")
    if found is not None:
        log.info(f"resuming the fit of the teacher from {found} at step {step}")
    return found


def _refuse_divergence(net: nn.Module, config: Config, folder: Path) -> None:
    """Refuse to keep weights that no later run could use; the next fit begins anew."""
    if all(bool(tensor.isfinite().all()) for tensor in net.state_dict().values()):
        return
    shutil.rmtree(folder, ignore_errors=True)
    raise RunError(
        f"the weights of teacher {network_name(config.teacher.name)} are not finite after its fit."
        f" Pass teacher.fit.lr={config.teacher.fit.lr / 2:g}, half of what it is."
    )
