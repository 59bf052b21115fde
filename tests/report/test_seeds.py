"""Runs that differ by their seed alone make one figure with its interval."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deit.report.folders import read
from deit.report.seeds import Estimate, groups, varied

Leave = Callable[..., Path]


def test_mean_and_interval_of_three_seeds_by_hand() -> None:
    # 70, 72, 74: mean 72, deviation 2, t(0.975, 2) = 4.3027; 4.3027 x 2 / sqrt(3) = 4.9683
    estimate = Estimate.of([70.0, 74.0, 72.0])
    assert (estimate.mean, estimate.n) == (72.0, 3)
    assert estimate.half_width == pytest.approx(4.9683, abs=1e-4)


def test_mean_and_interval_of_two_seeds_by_hand() -> None:
    # 1, 3: deviation sqrt(2), t(0.975, 1) = 12.7062; 12.7062 x sqrt(2) / sqrt(2)
    assert Estimate.of([1.0, 3.0]).half_width == pytest.approx(12.7062, abs=1e-4)


def test_one_seed_has_no_interval_and_equal_seeds_an_empty_one() -> None:
    assert Estimate.of([5.0]) == Estimate(5.0, None, 1)
    assert Estimate.of([5.0, 5.0]) == Estimate(5.0, 0.0, 2)


def test_an_estimate_in_another_unit() -> None:
    assert Estimate(80.0, 2.0, 3).scaled(0.01) == Estimate(pytest.approx(0.8), pytest.approx(0.02), 3)


def test_seeds_names_and_places_make_no_difference(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "0", "seed=0", metrics={"test/acc1": 90.0})
    leave_run(tmp_path / "1", "seed=1", "name=other", "logger=tensorboard", metrics={"test/acc1": 92.0})
    leave_run(tmp_path / "2", "seed=2", "distill.bank=auto", "data.workers=3", metrics={"test/acc1": 94.0})
    leave_run(tmp_path / "3", "seed=0", "teacher.fit.seed=1", metrics={"test/acc1": 10.0})
    found = groups(read([tmp_path])[0])
    assert [[run.seed for run in group.runs] for group in found] == [[0, 1, 2], [0]]
    assert found[0].estimate("test/acc1") == Estimate(92.0, pytest.approx(4.9683, abs=1e-4), 3)
    assert varied(found) == ["teacher.fit.seed"]


def test_fine_tuned_runs_belong_together_if_their_origins_do(leave_run: Leave, tmp_path: Path) -> None:
    for seed in (0, 1):
        leave_run(tmp_path / f"s/{seed}", f"seed={seed}")
        leave_run(tmp_path / f"s/{seed + 2}", f"seed={seed}", f"init=s/{seed}/checkpoints/best.ckpt")
    leave_run(tmp_path / "s/4", "init=other/0/checkpoints/best.ckpt")
    found = groups(read([tmp_path])[0])
    assert [[run.path.name for run in group.runs] for group in found] == [["0", "1"], ["2", "3"], ["4"]]


def test_runs_that_start_from_each_other_are_configurations_of_their_own(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "s/0", "init=s/1/checkpoints/best.ckpt")
    leave_run(tmp_path / "s/1", "init=s/0/checkpoints/best.ckpt", "model=deit_s")
    assert len(groups(read([tmp_path])[0])) == 2


def test_what_is_not_done_counts_for_nothing(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "0", "seed=0", metrics={"test/acc1": 90.0})
    leave_run(tmp_path / "1", "seed=1", status="failed")
    leave_run(tmp_path / "2", "seed=2", metrics={"test/acc1": 10.0}, dry_run=True)
    (group,) = groups(read([tmp_path])[0])
    assert group.estimate("test/acc1") == Estimate(90.0, None, 1)
    assert group.estimate("test/acc5") is None


def test_a_seed_that_was_run_twice_counts_once_with_its_latest_run(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "a", metrics={"test/acc1": 91.0}, environment={"date": "2026-02-02"})
    leave_run(tmp_path / "b", metrics={"test/acc1": 90.0}, environment={"date": "2026-01-01"})
    (group,) = groups(read([tmp_path])[0])
    assert group.estimate("test/acc1") == Estimate(91.0, None, 1)
