"""Which configuration files a command line names, for jobs in processes of their own."""

import pytest

from deit.config.arguments import arranged, config_flags


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["model=deit_s", "-m"], []),
        (["--config-dir", "mine", "-m", "model=deit_s"], ["--config-dir=mine"]),
        (["-cd=mine", "-cn", "other", "+x=--config-dir"], ["--config-dir=mine", "--config-name=other"]),
        (["--config-path=/some where", "seed=1,2"], ["--config-path=/some where"]),
    ],
)
def test_a_job_gets_the_flags_of_its_sweep(arguments: list[str], found: list[str]) -> None:
    assert config_flags(arguments) == found


def test_settings_stand_together_wherever_flags_are_typed() -> None:
    typed = ["seed=1", "--cfg", "job", "model=deit_s", "-cd=mine", "resolution=160"]
    assert arranged(typed) == ["--cfg", "job", "-cd=mine", "seed=1", "model=deit_s", "resolution='160'"]
    assert arranged(["--info", "seed=1"]) == ["--info", "seed=1"]
