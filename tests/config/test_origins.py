"""Which job of a sweep starts from which, and what becomes of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deit.config import cells
from deit.config.errors import ConfigError
from deit.config.schema import Config


def test_a_cell_is_told_from_the_other_overrides() -> None:
    assert cells.split(["seed=0", "cell=[b,up_384]"]) == (("b", "up_384"), frozenset({"seed=0"}))
    assert cells.split(["cell=b"]) == (("b",), frozenset())
    assert cells.split(["seed=0"]) == ((), frozenset({"seed=0"}))


def test_a_job_starts_from_the_longest_beginning_of_its_cell() -> None:
    jobs = [["cell=[b]"], ["cell=[b,up_384]"], ["cell=[b,up_384,to_cars]"], ["cell=[b,to_cars]"]]
    assert cells.origins(jobs) == [None, 0, 1, 0]


def test_it_starts_from_an_earlier_job_of_the_same_settings() -> None:
    assert cells.origins([["cell=[b,up_384]"], ["cell=[b]"]]) == [None, None]
    jobs = [["seed=0", "cell=[b]"], ["seed=1", "cell=[b]"], ["seed=1", "cell=[b,up_384]"], ["cell=[b,up_384]"]]
    assert cells.origins(jobs) == [None, None, 1, None]


def test_the_origin_is_found_in_the_sweeps_folder(tmp_path: Path) -> None:
    (tmp_path / "frozen").mkdir()
    cells.keep(tmp_path / "frozen", {3: 2})
    assert cells.origin_of(tmp_path / "3", "frozen") == tmp_path / "2"
    assert cells.origin_of(tmp_path / "2", "frozen") is None
    assert cells.origin_of(tmp_path / "alone", "frozen") is None
    assert cells.origin_of(tmp_path / "elsewhere/3", "frozen") is None


def test_a_placed_job_has_its_cell_in_its_name_and_a_file_to_start_from(config: Callable[..., Config]) -> None:
    overrides = ("cell=[token,b,up_384]",)
    now = cells.placed(config(*overrides), overrides, Path("sweep/14"))
    assert (now.name, now.init) == ("digits-deit_b-hard-token-b-up_384", "sweep/14/checkpoints/best.ckpt")
    assert cells.placed(config(), (), None) == config()


def test_without_its_origin_it_is_refused(config: Callable[..., Config]) -> None:
    overrides = ("cell=[b,up_384]",)
    with pytest.raises(ConfigError, match=r"init=sweep, but no job before cell=\[b,up_384\] .* init=<checkpoint"):
        cells.placed(config(*overrides), overrides, None)
