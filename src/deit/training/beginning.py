"""Start of a run: from its own last checkpoint, from another run's, or anew. What differs is refused."""

import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from deit.config import compose, drafts, ledger, processes
from deit.config.errors import ConfigError, written
from deit.config.schema import Config
from deit.data.identity import Identity, differences, digest_of
from deit.data.sources import DataSet
from deit.data.sources.division import is_drawn_by_name
from deit.models.description import CLASSES, CONFIG, DATA, DESCRIPTION
from deit.training import checkpoints
from deit.training.best_checkpoint import Best
from deit.training.checkpoints import BEST, LAST, PREVIOUS, PROGRESS
from deit.training.folder import CHECKPOINTS, METRICS, attempt_of, read_identity

log = logging.getLogger(__name__)

MAY_DIFFER = (
    "optim.paper_epochs", "trainer.patience", "trainer.name", "trainer.accelerator", "trainer.strategy",
    "trainer.devices", "trainer.num_nodes", "trainer.compile", "trainer.threads", "scale.threads", "data.num_classes",
)  # fmt: skip
"""Settings that may be others than those of the checkpoint: how long and where it is trained."""
MOST = 40  # differences that are named


@dataclass(frozen=True)
class Beginning:
    """Where a run begins."""

    checkpoint: Path | None = None
    """Checkpoint to resume from; None: the first step."""
    step: int = 0
    """Optimiser steps that led there."""
    is_anew: bool = False
    """Whether what the run's folder holds is deleted first."""
    best: Path | None = None
    """Checkpoint of the best epoch so far, where the run's folder has it not."""

    def attempt(self, config: Config, folder: Path) -> dict[str, object]:
        """Return who starts the run now and what it first began from, for its record."""
        resumes = self.checkpoint is not None
        is_own = resumes and cast(Path, self.checkpoint).parent == folder / CHECKPOINTS
        given = None if config.resume in ("auto", "never") else str(Path(config.resume).absolute())
        began = attempt_of(folder).get("from", given) if is_own else given
        return {**processes.attempt(), "resumes": not self.is_anew, "from": began}

    def bring(self, run: Path) -> None:
        """Copy into the folder ``run`` what belongs to the checkpoint: the best epoch so far, and the rows of metrics.

        Raises:
            RunError: if the disk does not take it.
        """
        if self.best is None or self.checkpoint is None:
            return
        _copy(self.best, run / CHECKPOINTS / BEST)
        rows = self.checkpoint.parent.parent / METRICS
        if self.checkpoint.parent.absolute() != (run / CHECKPOINTS).absolute() and rows.is_file():
            _copy(rows, run / METRICS)


def keeps(config: Config, folder: Path) -> bool:
    """Return True if what ``folder`` holds of this run counts: always, except where resume=never is typed.

    A scheduler that starts a job again repeats what was typed, and its run resumes.
    """
    return config.resume != "never" or processes.is_restart_of(attempt_of(folder))


def find(config: Config, dataset: DataSet, identity: Identity | None, folder: Path, *, is_known: bool) -> Beginning:
    """Find where the run of ``config`` in ``folder`` begins. Nothing is written.

    Args:
        config: What is trained, adapted to the data.
        dataset: The data.
        identity: Identity of the data; None in processes that leave the comparison to the first one.
        folder: The run's folder.
        is_known: Whether the folder's run.json has the fingerprint of this configuration.

    Raises:
        ConfigError: if what is to be resumed is no checkpoint, corrupt, or of other data or settings, naming each.
    """
    own = folder / CHECKPOINTS
    if not keeps(config, folder):
        return Beginning(is_anew=True)
    found, damaged = checkpoints.newest(own)
    for file in damaged:
        log.warning(f"{file} is damaged: its checksums do not agree; {found}, the one before it, is taken")
    if found is not None:
        _refuse_another_start(config, folder)
        content = checkpoints.read_resumable(found)
        refuse_difference(found, content, None if is_known else config, dataset, identity, config)
        beginning = Beginning(found, int(content["global_step"]), best=_best_of_own(own, found, content))
    elif config.resume in ("auto", "never"):
        return Beginning()
    else:
        found = Path(config.resume)
        content = checkpoints.read_resumable(found)
        refuse_difference(found, content, config, dataset, identity, config)
        _refuse_end(found, content, config)
        beginning = Beginning(found, int(content["global_step"]), best=_best_beside(found, content))
    log.info(f"resuming from {found} at step {beginning.step}")
    return beginning


def _refuse_another_start(config: Config, folder: Path) -> None:
    """Refuse another checkpoint than the one that a run with a checkpoint of its own began with."""
    if config.resume in ("auto", "never"):
        return
    given, own = Path(config.resume).absolute(), (folder / CHECKPOINTS).absolute()
    attempt = attempt_of(folder)
    was = attempt.get("from", str(given))
    if given in (own / LAST, own / PREVIOUS) or was == str(given) or (was is not None and not Path(str(was)).exists()):
        return
    began = "from its first step" if was is None else f"from {was}"
    raise ConfigError(
        f"resume={config.resume} must be where the run in {folder} began, which was {began}, because that run has a"
        f" checkpoint of its own. Pass resume=auto to resume it, or hydra.run.dir=<another folder> to resume {given}."
    )


def refuse_difference(
    file: Path,
    content: Mapping[str, Any],
    compared: Config | None,
    dataset: DataSet,
    identity: Identity | None,
    config: Config,
) -> None:
    """Refuse a checkpoint of other settings, classes or images; compared: None where the settings are known to agree.

    Raises:
        ConfigError: naming all that differs.
    """
    description = cast(Mapping[str, object], content.get(DESCRIPTION) or {})
    lines: list[str] = []
    if compared is not None:
        lines += _settings_apart(file, description, content, compared)
        devices = len(content[PROGRESS])
        if devices != compared.trainer.world_size:
            lines.append(f"number of devices: {devices} -> {compared.trainer.world_size}")
    if (images := list(_images_apart(file, description, dataset, identity))) or lines:
        shown = [*lines[:MOST], *([f"and {len(lines) - MOST} more settings"] if len(lines) > MOST else []), *images]
        way_out = "Put the images back" if images and not lines else "Pass the settings of that run"
        listed = "\n".join(f"  - {line}" for line in shown)
        raise ConfigError(
            f"{file} must be of the same {'data' if not lines else 'settings and data'} to be resumed, got:\n{listed}\n"
            f"{way_out}, or start a new run from its weights: init={_weights(file)} with another hydra.run.dir=<folder>"
            f"{' (resume left out)' if config.resume not in ('auto', 'never') else ''}, or train anew here:"
            " resume=never."
        )


def _weights(file: Path) -> Path:
    best = file.with_name(BEST)
    return best if best.is_file() else file


def _settings_apart(
    file: Path, description: Mapping[str, object], content: Mapping[str, Any], config: Config
) -> Iterator[str]:
    if CONFIG not in description:
        return
    was = compose.recorded(cast(Mapping[str, object], description[CONFIG]), file)
    free = [*MAY_DIFFER]
    done = _epochs_done(content)
    if config.optim.epochs >= was.optim.epochs:
        free.append("optim.epochs")
    if done >= max(was.optim.warmup_epochs, config.optim.warmup_epochs):
        free += ["optim.warmup_epochs", "scale.warmup_epochs"]
    if config.init is None:  # the weights come from the checkpoint
        free += ["init", "init_ema", "init_positions"]
    before, after = (cast(dict, compose.plain(one)) for one in (was, config))
    if not (was.uses_teacher or config.uses_teacher):
        before, after = (one | {"teacher": {}} for one in (before, after))
    yield from ledger.differing(before, after, except_for=free)


def _images_apart(
    file: Path, description: Mapping[str, object], dataset: DataSet, identity: Identity | None
) -> Iterator[str]:
    """What is different in the images since ``file`` was written, or since its run began."""
    classes = description.get(CLASSES)
    if identity is None:
        return
    known, was = description.get(DATA), read_identity(file.parent.parent)
    if known == digest_of(identity):
        return
    lines = [] if was is None else differences(was, identity)
    if lines:
        yield from lines
    elif isinstance(classes, list) and classes != list(dataset.classes):
        yield f"classes: {_shortened(classes)} -> {_shortened(list(dataset.classes))}"
    elif known is not None:
        yield "the images, their labels or their splits (the record of which they were is missing)"
    elif was is None and is_drawn_by_name(dataset):
        yield "the splits, which an earlier release drew by the positions of the images and this one by their names"


def _shortened(names: list[Any]) -> str:
    return ", ".join(map(str, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _epochs_done(content: Mapping[str, Any]) -> int:
    return int(content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])


def _refuse_end(file: Path, content: Mapping[str, Any], config: Config) -> None:
    """Refuse another run's checkpoint after which nothing is left to train."""
    done, epochs = _epochs_done(content), config.optim.epochs
    states = cast(Mapping[str, Mapping[str, Any]], content["callbacks"])
    waited = next((int(state["wait_count"]) for key, state in states.items() if key.startswith("Patience")), 0)
    weights = f"init={_weights(file)} to start a new run from its weights"
    if done >= epochs:
        raise ConfigError(
            f"resume={file} must be of a run that has epochs left, got one at the end of its {done} epochs. Pass"
            f" optim.epochs=<more than {done}>, or {weights}."
        )
    if config.trainer.patience is not None and waited >= config.trainer.patience:
        raise ConfigError(
            f"resume={file} must be of a run that has epochs left, got one that ended after epoch {done} because its"
            f" accuracy had not improved for {waited} epochs. Pass trainer.patience=<more than {waited}> or"
            f" trainer.patience=null, or {weights}."
        )


def _best_of_own(own: Path, file: Path, content: Mapping[str, Any]) -> Path | None:
    """The checkpoint to copy as the folder's best.ckpt: None where that is there.

    Raises:
        ConfigError: if it is lost.
    """
    best = Best.of(content)
    if best.score is None or checkpoints.is_whole(own / BEST):
        return None
    if best.step == content["global_step"]:
        log.warning(f"{own / BEST} is missing or corrupt; {file} has the same weights and takes its place")
        return file
    raise _lost(file, best, own / BEST)


def _best_beside(file: Path, content: Mapping[str, Any]) -> Path | None:
    """The checkpoint of the best epoch that ``file``, of another run, knows of; None before the first validation."""
    best, beside = Best.of(content), file.with_name(BEST)
    if best.score is None:
        return None
    if best.step == content["global_step"] or beside.absolute() == file.absolute():
        return file
    if checkpoints.is_whole(beside) and Best.of(checkpoints.read_resumable(beside)).same_as(best):
        return beside
    raise _lost(file, best, beside)


def _lost(file: Path, best: Best, where: Path) -> ConfigError:
    assert best.score is not None
    step = "" if best.step is None else f" at step {best.step}"
    return ConfigError(
        f"{where} must hold the best epoch of {file} (val/acc1 {float(best.score):.2f}{step}), and is missing, corrupt"
        f" or of another epoch. Put it back, or start a new run: init={file} with another hydra.run.dir=<folder>, or"
        " resume=never."
    )


def _copy(source: Path, target: Path) -> None:
    """Copy a file so that a crash leaves all of it or what was there before."""
    with written(target, "nothing was trained yet"), drafts.draft(target) as draft:
        shutil.copyfile(source, draft)
