"""Each new run has a folder of its own, however many start in one second."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from deit.config.new_folders import claim
from in_process import Typed

STAMP = "2026-01-01_00-00-00"


class Stopped(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: object = None) -> "Stopped":
        return cls(2026, 1, 1)


@pytest.fixture
def one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hydra.core.utils.datetime", Stopped)


def test_of_many_that_claim_a_name_each_gets_another_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(claim, [tmp_path / "new/run"] * 24))
    assert {path.name for path in claimed} == {"run", *(f"run_{number}" for number in range(2, 25))}
    assert all(path.is_dir() for path in claimed)


def test_a_link_is_nobodys_new_folder(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    assert claim(tmp_path / "run") == tmp_path / "run_2"
    assert not (tmp_path / "elsewhere").exists()


def test_runs_of_one_second_have_folders_of_their_own(
    type_in: Callable[..., Typed], tmp_path: Path, one_second: None
) -> None:
    said = [type_in(tmp_path, "train.py", "distill=none", f"seed={seed}").said for seed in range(2)]
    name = f"{STAMP}_digits-deit_ti-none"
    assert sorted(path.name for path in (tmp_path / "logs/runs").iterdir()) == [name, f"{name}_2"]
    assert f"run folder: logs/runs/{name}\n" in said[0]
    assert f"run folder: logs/runs/{name}_2\n" in said[1]


def test_a_folder_that_was_named_is_kept(type_in: Callable[..., Typed], tmp_path: Path, one_second: None) -> None:
    for _ in range(2):
        typed = type_in(tmp_path, "train.py", "distill=none", "hydra.run.dir=logs/runs/mine")
        assert (typed.status, "run folder" in typed.said) == (0, False)
    assert [path.name for path in (tmp_path / "logs/runs").iterdir()] == ["mine"]
