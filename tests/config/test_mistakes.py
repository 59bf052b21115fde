"""What Hydra and OmegaConf complain about is said in words that the user can type back."""

from collections.abc import Callable

import pytest
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from deit.config.mistakes import explain, known_keys

MISTAKES = [
    ("model.hedas=3", ["model.hedas is no key", "did you mean model.heads"]),
    ("optim.learning_rate=1", ["optim.learning_rate is no key", "possible below optim: kind, lr"]),
    ("modle=deit_s", ["modle is no key", "did you mean model="]),
    (
        "experiment=paper/table3_distil",
        ["is unknown; possible: official/", "pass experiment=paper/table3_distillation"],
    ),
    ("cell=[none,up_38]", ["cell=up_38 is unknown", "soft, ti", "pass cell=up_384"]),
    ("teacher=regnety_16", ["teacher=regnety_16 is unknown", "pass teacher=regnety_160"]),
    ("optim.lr=abc", ["optim.lr=abc is of the wrong type", "a number"]),
    ("optim.epochs=1.5", ["optim.epochs=1.5 is of the wrong type", "a whole number"]),
    ("distill.token=maybe", ["distill.token=maybe is of the wrong type", "true or false"]),
    ("distill.method=medium", ["distill.method=medium is unknown", "none, soft, hard"]),
    ("teacher.fit.epoch=1", ["did you mean teacher.fit.epochs"]),
    ("model=", ["model"]),
    ("optim.lr", ["overrides look like key=value"]),
]


@pytest.mark.parametrize(("override", "words"), MISTAKES, ids=[override for override, _ in MISTAKES])
def test_explained(raw_config: Callable[..., DictConfig], override: str, words: list[str]) -> None:
    with pytest.raises((HydraException, OmegaConfBaseException)) as caught:
        composed = raw_config(override)
        raise HydraException(f"accepted: {composed}")
    said = explain(caught.value)
    assert all(word in said for word in words), said
    assert "Traceback" not in said


def test_every_key_is_listed() -> None:
    assert {"model", "model.heads", "teacher.fit.epochs", "logger.wandb.enabled", "seed"} <= set(known_keys())
