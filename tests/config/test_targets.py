"""Hydra builds what it needs for a run, and nothing else that a configuration may name."""

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from conftest import Outcome
from deit.config.errors import ConfigError

Compose = Callable[..., DictConfig]

EVIL = [
    (["+hydra.callbacks.x._target_=os.mkdir"], "hydra.callbacks.x._target_=os.mkdir"),
    (["hydra.callbacks.preflight._target_=os.mkdir"], "possible there: those of conf/train.yaml"),
    (["+hydra.callbacks.preflight.x={_target_:os.mkdir}"], "hydra.callbacks.preflight.x._target_=os.mkdir"),
    (["+hydra.callbacks.x='${oc.create:{_target_:os.mkdir}}'"], "hydra.callbacks.x._target_=os.mkdir"),
    (["+hydra.callbacks.x='${oc.decode:${hydra.runtime.output_dir}}'"], "a value that is known only later"),
    (["hydra.sweeper._target_=os.mkdir"], "possible there: installed plugins of Hydra"),
    (["hydra.launcher._target_=os.mkdir"], "possible there: installed plugins of Hydra"),
    (["+hydra.launcher.x._target_=hydra_plugins.a.b.os.mkdir"], "possible there: nothing"),
    (["+hydra.sweeper.sampler._target_=optuna.samplers.a.os.mkdir"], "optuna.samplers.<name>"),
    ([r"+hydra.job_logging.handlers.x={\(\):os.mkdir}"], "hydra.job_logging.handlers.x.()=os.mkdir"),
    ([r"+hydra.hydra_logging.filters.x={\(\):os.mkdir}"], "hydra.hydra_logging.filters.x.()=os.mkdir"),
    (["hydra.job_logging.handlers.file.class=logging.handlers.SMTPHandler"], "logging.FileHandler"),
    (["hydra.job_logging.handlers.console.stream=ext://antigravity.x"], "ext://sys.stdout"),
]
LEGITIMATE = [
    [],
    ["hydra/job_logging=none", "hydra/hydra_logging=none"],
    ["hydra/job_logging=disabled"],
    ["hydra/launcher=submitit_slurm"],
    ["hydra/launcher=submitit_local"],
    ["hydra.job_logging.root.level=DEBUG"],
]


@pytest.mark.parametrize(("typed", "words"), EVIL, ids=[" ".join(typed) for typed, _ in EVIL])
def test_what_is_not_known_to_be_needed_is_refused(raw_config: Compose, typed: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        raw_config(*typed)
    assert words in str(refused.value)
    assert "would be run as code" in str(refused.value)


@pytest.mark.parametrize("typed", LEGITIMATE, ids=" ".join)
def test_what_hydra_and_its_plugins_need_is_not(raw_config: Compose, typed: list[str]) -> None:
    raw_config(*typed)


def test_all_such_names_are_told_at_once(raw_config: Compose) -> None:
    with pytest.raises(ConfigError, match="2 problems"):
        raw_config("hydra.sweeper._target_=os.mkdir", "hydra.launcher._target_=os.mkdir")


SITE = """# @package _global_
hydra:
  {part}
"""
PARTS = {
    "callback": "callbacks: {x: {_target_: os.mkdir, path: executed}}",
    "log": "hydra_logging: {handlers: {x: {(): os.mkdir, path: executed}}}",
    "job": "job_logging: {handlers: {x: {(): os.mkdir, path: executed}}}",
}


@pytest.mark.parametrize("multirun", [[], ["-m"]], ids=["run", "sweep"])
@pytest.mark.parametrize("part", PARTS)
def test_a_file_of_a_strangers_runs_nothing(
    deit_train: Callable[..., Outcome], tmp_path: Path, part: str, multirun: list[str]
) -> None:
    """As conf/local/default.yaml would, and an experiment that is swept over."""
    (tmp_path / "theirs/experiment").mkdir(parents=True)
    (tmp_path / "theirs/experiment/x.yaml").write_text(SITE.format(part=PARTS[part]))
    (tmp_path / "theirs/experiment/harmless.yaml").write_text("# @package _global_\nseed: 3\n")
    experiment = "experiment=harmless,x" if multirun else "experiment=x"
    outcome = deit_train("--config-dir=theirs", experiment, "distill=none", *multirun)
    assert outcome.status == 2, outcome.said
    assert "would be run as code" in outcome.said
    assert "Traceback" not in outcome.said
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


@pytest.mark.parametrize("typed", [["+x._target_=os.mkdir"], ["hydra/launcher=evil"], ["+wandb_key=hunter2"]])
def test_keys_and_options_that_there_are_not_are_refused(
    deit_train: Callable[..., Outcome], tmp_path: Path, typed: list[str]
) -> None:
    outcome = deit_train(*typed)
    assert (outcome.status, list(tmp_path.iterdir())) == (2, []), outcome.said
    assert "hunter2" not in outcome.said
