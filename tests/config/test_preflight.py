"""A sweep is expanded as Hydra would run it, and checked as a whole."""

from deit.config.arguments import arranged
from deit.config.preflight import expand, repeated


def test_jobs_come_in_the_order_in_which_hydra_numbers_them() -> None:
    assert expand(["model=deit_ti,deit_s", "seed=0", "distill=none,hard"]) == [
        ["model=deit_ti", "seed=0", "distill=none"],
        ["model=deit_ti", "seed=0", "distill=hard"],
        ["model=deit_s", "seed=0", "distill=none"],
        ["model=deit_s", "seed=0", "distill=hard"],
    ]


def test_ranges_and_choices_are_sweeps_and_lists_are_not() -> None:
    assert expand(["seed=range(0,3)"]) == [["seed=0"], ["seed=1"], ["seed=2"]]
    assert expand(["optim.lr=choice(1,2)"]) == [["optim.lr=1"], ["optim.lr=2"]]
    assert expand(["logger=[tensorboard,wandb]"]) == [["logger=[tensorboard,wandb]"]]
    assert expand([]) == [[]]


def test_numbered_options_keep_their_quotes() -> None:
    (_, argument) = arranged(["resolution=160,384", "-m"])
    assert [job for (job,) in expand([argument])] == ["resolution='160'", "resolution='384'"]


def test_of_a_key_given_twice_the_last_counts_and_that_is_said() -> None:
    assert repeated(["seed=0", "model=deit_s", "seed=1"]) == ["seed is given 2 times; seed=1 counts"]
    assert repeated(["seed=0", "model=deit_s"]) == []


def test_the_flag_of_a_sweep_may_stand_anywhere() -> None:
    for arguments in (["-m", "a=1", "b=2"], ["a=1", "-m", "b=2"], ["a=1", "b=2", "--multirun"]):
        assert arranged(arguments) == ["-m", "a=1", "b=2"]
    assert arranged(["a=1", "-m", "--cfg", "job"]) == ["--cfg", "job", "a=1"]
    assert arranged(["optim.lr=1", "resolution.pixels=28"]) == ["optim.lr=1", "resolution.pixels=28"]
