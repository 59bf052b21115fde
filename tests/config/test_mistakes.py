"""The keys that a user may have meant."""

from deit.config.errors import nearest
from deit.config.mistakes import known_keys, named_alike, type_of


def test_every_key_is_listed() -> None:
    assert {"model", "model.heads", "teacher.fit.epochs", "logger.wandb.enabled", "seed"} <= set(known_keys())


def test_the_end_of_a_key_is_enough_to_find_it() -> None:
    assert named_alike("weight-decay") == ["optim.weight_decay", "teacher.fit.weight_decay"]
    assert named_alike("fit.seed") == ["teacher.fit.seed"]
    assert named_alike("modle") == ["model"]
    assert named_alike("zebra") == []


def test_case_and_dashes_do_not_matter_and_a_beginning_is_near() -> None:
    assert nearest("DeiT-Ti", ["deit_s", "deit_ti"]) == "deit_ti"
    assert nearest("bf16", ["32-true", "bf16-mixed"]) == "bf16-mixed"
    assert nearest("", ["a"]) is None


def test_types_are_said_as_a_person_would() -> None:
    assert type_of("optim.lr") == "a number"
    assert type_of("optim.ema") == "a number, or null"
    assert type_of("data.mean") == "a list of numbers in brackets"
    assert type_of("distill.kl") == "one of batchmean, numel"
    assert type_of("model") == type_of("experiment") == "an option"
