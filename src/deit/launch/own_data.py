"""Decides ``own=auto``: once for a run or a sweep, kept in its folder and taken from there ever after."""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import cast

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deit.config import compose, ledger, own_data, preflight, processes, sealed
from deit.config.errors import ConfigError, RunError
from deit.config.own_data import Own, OwnChoice
from deit.config.preflight import Grid
from deit.config.schema import PUBLISHED, Config
from deit.config.teaching import TeacherSource

log = logging.getLogger(__name__)

KEPT = "own.yaml"  # in a sweep's folder: what was decided for its jobs, by their numbers
DECIDED = ("choice", "reasons", "epochs", "teacher_epochs")  # of the group own
WAIT = 300.0  # seconds for the first process of a run to decide: it may walk through a large folder, and fetch weights


def settled(raw: DictConfig, *, measures: bool = True) -> DictConfig:
    """``raw``, as Hydra has composed it for this process, under the recipe that suits the images; the reasons are said.

    Args:
        measures: Measure the speed of this machine to fit the epochs into ``own.hours``.

    Raises:
        RunError: in a process that waits in vain for the first one of its run to decide.
    """
    config = compose.typed(raw)
    if not config.own_undecided:
        return raw
    given = preflight.typed_overrides(HydraConfig.get())
    folder = Path(HydraConfig.get().runtime.output_dir)
    if processes.rank():
        return _composed(given, _awaited(folder))
    own = _kept(folder)
    if own is None:
        own = decided(config, given)
        own = _within_hours(own, given) if measures else own
    for reason in own.reasons:
        log.info(reason)
    return _composed(given, own)


def settle_sweep(grid: Grid, sweep: Path) -> dict[int, Own]:
    """What is decided for the jobs of a sweep that leave it to us, by number: once, for all jobs on the same images.

    The configurations in ``grid`` become those that the jobs will have, and their problems are added to it.
    """
    paper: set[int] = set()
    owns: dict[str, dict[int, Own]] = defaultdict(dict)
    for number, overrides in enumerate(grid.jobs):
        config = compose.typed(grid.composed[number])
        if config.own_undecided:
            known = _kept(sweep / str(number))
            owns[str(config.data.root)][number] = known or decided(config, overrides)
            if config.scale.shrink == 1:
                paper.add(number)
    found = {number: own for jobs in owns.values() for number, own in own_data.levelled(jobs, paper).items()}
    for number, own in found.items():
        grid.composed[number] = _composed(grid.jobs[number], own)
        problems, _ = preflight.check(grid.composed[number])
        grid.problems += [f"#{number} {' '.join(grid.jobs[number])}, own={own.choice}"] * bool(problems)
        grid.problems += [f"  - {text}" for text in problems]
    return found


def keep(sweep: Path, owns: dict[int, Own]) -> None:
    """Write down what was decided for the jobs of a sweep, where they will look for it."""
    content = {
        number: {key: str(own.choice) if key == "choice" else getattr(own, key) for key in DECIDED}
        for number, own in owns.items()
    }
    sealed.write_text(sweep / ledger.FROZEN / KEPT, yaml.safe_dump(content, allow_unicode=True))


def decided(config: Config, given: Sequence[str]) -> Own:
    """The recipe for ``config``, which was composed of the overrides ``given``, and why."""
    asked = next((override for override in given if override.startswith(("experiment=", "cell="))), None)
    if config.init is not None:
        asked = f"init={config.init}"

    def lacks(choice: OwnChoice) -> str | None:
        return _lacks(compose.typed(_composed(given, Own(choice=choice))))

    assert config.data.root is not None, "the rules refuse data=folder without a folder"
    images = own_data.look(config.data.root)
    return own_data.choose(images, asked=asked, paper=config.scale.shrink == 1, lacks=lacks)


def _lacks(config: Config) -> str | None:
    """What keeps ``config`` from starting from published weights; None if they are here, fetched if need be."""
    if config.scale.shrink > 1:
        return f"there are no published weights at scale={config.scale.name}"
    if config.init is None:
        return f"which weights are for model={config.model.name} is yours to say: own=finetune init=timm:<name>"
    names = [config.init.removeprefix(PUBLISHED)]
    if config.uses_teacher and config.teacher_source is TeacherSource.finetune:
        names += config.teacher.members or [config.teacher.name]
    return next((fault for name in names if (fault := _unobtainable(name)) is not None), None)


@cache  # the same answer for all jobs of a sweep
def _unobtainable(name: str) -> str | None:
    """Why the weights that timm calls ``name`` cannot be had; None if they can, and are here now."""
    from deit.models.networks import card  # torch is imported only where photographs ask for weights
    from deit.models.published import published_weights

    log.info(f"looking for the published weights of {name}, which are fetched if they are not here")
    try:
        published_weights(name, card(name, "own"), None)
    except ConfigError as fault:
        return str(fault)
    return None


def _composed(given: Sequence[str], own: Own) -> DictConfig:
    raw = hydra.compose(config_name="train", overrides=[*given, f"own={own.choice}"])
    raw.own.reasons, raw.own.epochs, raw.own.teacher_epochs = own.reasons, own.epochs, own.teacher_epochs
    return raw


def _within_hours(own: Own, given: Sequence[str]) -> Own:
    from deit.launch.budget import within_hours  # torch is imported only where photographs are trained on

    return within_hours(own, compose.typed(_composed(given, own)))


def _awaited(run: Path) -> Own:
    """What the first process of a run in the folder ``run`` decides."""
    began = time.monotonic()
    while (own := _kept(run)) is None:
        if time.monotonic() - began > WAIT:
            raise RunError(f"the first process of this run has decided nothing in {run} for {WAIT:g} s; see its log")
        time.sleep(0.2)
    return own


def _kept(run: Path) -> Own | None:
    """What was decided for the run in a folder when it was started there first, or by its sweep; None if nothing."""
    return _read(run / "config.yaml", "own") or _of_sweep(run)


def _of_sweep(run: Path) -> Own | None:
    return _read(run.parent / ledger.FROZEN / KEPT, int(run.name)) if run.name.isdecimal() else None


def _read(file: Path, key: str | int) -> Own | None:
    """What a file says of a decision; None where it does not, and, with a warning, where it is damaged."""
    try:
        said = cast(dict, yaml.safe_load(_whole(file)))[key]
        epochs, of_teacher = (None if said.get(key) is None else int(said[key]) for key in ("epochs", "teacher_epochs"))
        reasons = [*map(str, said["reasons"])]
        own = Own(choice=OwnChoice(said["choice"]), reasons=reasons, epochs=epochs, teacher_epochs=of_teacher)
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, yaml.YAMLError):
        if file.name == KEPT:
            log.warning(f"{file} is damaged: what it decided for the sweep's jobs is decided again")
        return None
    return None if own.choice is OwnChoice.auto else own


def _whole(file: Path) -> str:
    """Return the text of ``file``; raises ValueError if it is not what was written."""
    text = sealed.read_text(file)
    sealed.refuse_unlisted(file, file.read_bytes())
    return text
