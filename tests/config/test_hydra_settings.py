"""Hydra's own settings that would run commands, or put a job where it is not looked for, are rejected."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from deit.config import hydra_settings
from deit.config.errors import ConfigError
from deit.launch.sweep import fix_folder

Compose = Callable[..., DictConfig]

OUT = "${hydra.runtime.output_dir}"
REJECTED = [
    ("job.chdir", True, "hydra.job.chdir must be false", "Leave it out"),
    ("job.name", "evaluate", "hydra.job.name must be", "got evaluate"),
    ("job.env_set", {"PATH": "/theirs"}, "hydra.job.env_set must be empty", "export PATH=<value>"),
    ("output_subdir", ".hydra", "hydra.output_subdir must be null", "got .hydra"),
    ("sweep.subdir", "${hydra.job.override_dirname}", "hydra.sweep.subdir must be ${hydra.job.num}", "Leave it out"),
    ("sweeper.params", {"hydra.launcher.setup": "x"}, "hydra.sweeper.params", "got hydra.launcher.setup"),
    ("sweeper.custom_search_space", "os.system", "typed on the command line or set in conf/local", "if you trust it"),
    ("job_logging.handlers.file.filename", "/me/.profile", "in the run's folder", "got /me/.profile"),
    ("job_logging.handlers.file.filename", f"{OUT}/../x.log", "in the run's folder", "got /x.log"),
    ("job_logging.handlers.file.filename", f"{OUT}/.profile", "in the run's folder", "got .profile"),
    ("hydra_logging.handlers.x", {"filename": "x.log"}, "in the run's folder", "got x.log"),
    ("job_logging.handlers.file", {".": {"baseFilename": "/x"}}, "without the key '.'", "Leave it out"),
    ("launcher.setup", ["touch x"], "hydra.launcher.setup must be typed", "if you trust it"),
    ("launcher.submitit_folder", "/theirs/%j", "hydra.launcher.submitit_folder must be typed", "got /theirs/%j"),
    ("launcher.additional_parameters.prolog", "x", "hydra.launcher.additional_parameters must be", "Pass"),
    ("launcher.partition", "gpu'\ntouch x", "hydra.launcher.partition must be without line breaks", "Pass"),
    ("launcher.additional_parameters", {"a\ntouch x": 1}, "without line breaks", "Pass"),
]
ACCEPTED = [
    ("job_logging.handlers.file.filename", f"{OUT}/mine.log"),
    ("sweep.subdir", "${hydra.job.id}"),
    ("run.dir", "out/${hydra.job.override_dirname}"),
    ("launcher.qos", "long"),
    ("job.name", "train_ddp_process_1"),
    ("sweeper.params", {"seed": "0,1"}),
]


@pytest.fixture(scope="module")
def whole(raw_config: Compose) -> DictConfig:
    raw_config()  # Hydra has started
    return compose("train", overrides=["resources=slurm_1x1"], return_hydra_config=True)


def problems(whole: DictConfig, key: str, value: object) -> list[str]:
    """Problems of ``whole`` with a setting of Hydra's from a file."""
    config = whole.copy()
    with open_dict(config):
        OmegaConf.update(config, f"hydra.{key}", value, force_add=True, merge=False)
    return list(hydra_settings.problems(config))


@pytest.mark.parametrize(("key", "value", "what", "advice"), REJECTED, ids=[f"{k}={v!r}" for k, v, *_ in REJECTED])
def test_rejected(whole: DictConfig, key: str, value: object, what: str, advice: str) -> None:
    said = "\n".join(problems(whole, key, value))
    assert what in said
    assert advice in said


@pytest.mark.parametrize(("key", "value"), ACCEPTED)
def test_accepted(whole: DictConfig, key: str, value: object) -> None:
    assert problems(whole, key, value) == []


@pytest.mark.parametrize("typed", ["+hydra.job.env_set.PATH=/theirs", "hydra.job.env_copy=[PATH]"])
def test_composition_refuses(raw_config: Compose, typed: str) -> None:
    with pytest.raises(ConfigError, match=r"hydra.job.env_\w+ must be empty.*export PATH=<value>"):
        raw_config(typed)


def test_a_command_is_accepted_from_the_user(
    whole: DictConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = whole.copy()
    config.hydra.overrides.hydra.append("hydra.launcher.setup=[module load cuda]")
    assert problems(config, "launcher.setup", ["module load cuda"]) == []
    (tmp_path / "local").mkdir()
    (tmp_path / "local/default.yaml").write_text("hydra:\n  launcher:\n    setup: [module load cuda]\n")
    monkeypatch.setattr(hydra_settings, "CONF", tmp_path)
    assert problems(whole, "launcher.setup", ["module load cuda"]) == []


def test_a_package_is_not_imported_to_be_read() -> None:
    primary = OmegaConf.create({"hydra": {"searchpath": ["file://here", "pkg://theirs"]}})
    (problem,) = hydra_settings.search_path_problems(primary)
    assert "got pkg://theirs" in problem


def test_the_jobs_of_a_sweep_lie_in_one_folder(raw_config: Compose) -> None:
    raw_config()  # Hydra has started
    config = compose("train", overrides=["hydra.sweep.dir='out/${seed}'"], return_hydra_config=True)
    fix_folder(config)
    job = GlobalHydra.instance().config_loader().load_sweep_config(config, ["seed=5"])
    assert (job.seed, job.hydra.sweep.dir) == (5, "out/0")
