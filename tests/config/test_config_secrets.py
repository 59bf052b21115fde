"""A credential does not become part of the configuration, by whatever way it comes."""

from collections.abc import Callable

import pytest
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from deit.config import secrets
from deit.config.mistakes import explain
from deit.config.secrets import NAMED_SO, SHAPED_SO

HEX = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "planted-by-hand")
    monkeypatch.setenv("digits", "sk-abcdefghijklmnopqrst")
    monkeypatch.setenv("HARMLESS", HEX)
    monkeypatch.setenv("KEY_ROOT", "/data/images")
    secrets.register()


@pytest.mark.parametrize(
    "value",
    [
        "${oc.env:HF_TOKEN}",
        "${oc.env:HF_TOKEN,none}",
        "run-${oc.env:HF_TOKEN}",
        "${oc.decode:${oc.env:HF_TOKEN}}",
        "${oc.create:{a:[${oc.env:HF_TOKEN}]}}",
        "${oc.env:${data.name}}",
        "${oc.env:HARMLESS}",
        "planted-by-hand",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "https://me:hunter2@example.org/",
        HEX,
    ],
)
@pytest.mark.parametrize("key", ["name", "data.path", "hydra.run.dir"])
def test_a_secret_is_rejected(value: str, key: str) -> None:
    config = OmegaConf.create({"data": {"name": "digits", "path": None}, "hydra": {"run": {"dir": "out"}}})
    OmegaConf.update(config, key, value)
    (said,) = secrets.problems(config)
    assert said.startswith(key)
    assert " must be free of secrets because it is saved with the results, got " in said
    assert not any(secret in said for secret in ("planted-by-hand", "sk-", "ghp_", "hunter2", HEX))


def test_a_group_is_not_chosen_by_a_secret(raw_config: Callable[..., DictConfig]) -> None:
    with pytest.raises(HydraException) as refused:
        raw_config("model=${oc.env:HF_TOKEN}")
    assert "free of secrets" in explain(refused.value)
    assert "planted" not in explain(refused.value)


def test_what_is_no_secret_is_taken() -> None:
    root = {"root": "${oc.env:HOME}/x", "init": f"/hub/snapshots/{HEX}/model.safetensors", "pack": "/data/images"}
    assert list(secrets.problems(OmegaConf.create(root))) == []


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "WANDB_API_KEY", "db_password", "AWS_SECRET_ACCESS_KEY", "GITHUB_PAT", "MYSQL_PWD"]
)
def test_names_of_secrets(name: str) -> None:
    assert NAMED_SO.search(name)


@pytest.mark.parametrize(
    "name", ["PWD", "OLDPWD", "HOME", "TOKENIZERS_PARALLELISM", "KEYBOARD", "DATA_ROOT", "PATH", "AUTHOR"]
)
def test_names_of_none(name: str) -> None:
    assert not NAMED_SO.search(name)


@pytest.mark.parametrize(
    "value", ["hf_flowers102", "sk-small", "deit_tiny_patch16_224", "2026-11-29_10-00-00_digits", f"{HEX}0"]
)
def test_values_that_are_none(value: str) -> None:
    assert not SHAPED_SO.search(value)
