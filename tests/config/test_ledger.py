"""A sweep's folder says what is left to do, and is refused to another grid."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig

from deit.config.errors import ConfigError
from deit.config.ledger import (
    State,
    counted,
    difference,
    freeze,
    frozen,
    hold,
    lost,
    refuse_another_grid,
    state,
    varied,
)
from deit.config.preflight import as_yaml

RawConfig = Callable[..., DictConfig]


def grid(raw_config: RawConfig, *jobs: str) -> list[str]:
    return [as_yaml(raw_config("distill=none", *job.split())) for job in jobs]


@pytest.mark.parametrize(
    ("status", "expected"),
    [("done", State.done), ("running", State.resume), ("preempted", State.resume), ("failed", State.retry)],
)
def test_what_is_left_follows_from_how_a_run_ended(tmp_path: Path, status: str, expected: State) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"status": status}))
    assert state(tmp_path, resume="auto") is expected
    assert state(tmp_path, resume="never") is State.start, "all jobs run again"


def test_a_job_that_left_nothing_is_to_start(tmp_path: Path) -> None:
    assert state(tmp_path / "0", resume="auto") is State.start
    (tmp_path / "run.json").write_text("{")
    assert state(tmp_path, resume="auto") is State.start


def test_states_are_counted() -> None:
    assert counted([State.start, State.done, State.done]) == "3 jobs: 2 done, 1 to start"
    assert counted([State.resume]) == "1 job: 1 to resume"


def test_of_overrides_those_that_differ_are_shown() -> None:
    assert varied([["seed=0", "distill=none"], ["seed=1", "distill=none"]]) == ["seed=0", "seed=1"]
    assert varied([["seed=0", "distill=none"]]) == ["seed=0 distill=none"]


def test_a_new_folder_and_the_same_grid_are_welcome(raw_config: RawConfig, tmp_path: Path) -> None:
    jobs = grid(raw_config, "seed=0", "seed=1")
    assert refuse_another_grid(tmp_path, jobs) == 0
    freeze(tmp_path, jobs)
    assert refuse_another_grid(tmp_path, jobs) == 0


def test_jobs_may_follow_at_the_end(raw_config: RawConfig, tmp_path: Path) -> None:
    jobs = grid(raw_config, *(f"seed={seed}" for seed in range(12)))
    freeze(tmp_path, jobs[:11])
    assert refuse_another_grid(tmp_path, jobs) == 1


def test_what_changes_no_result_may_change(raw_config: RawConfig, tmp_path: Path) -> None:
    freeze(tmp_path, grid(raw_config, "seed=0"))
    refuse_another_grid(
        tmp_path, grid(raw_config, "seed=0 logger=wandb resources=local_parallel data.workers=3 name=other plan=true")
    )


def test_changed_and_removed_jobs_are_refused(raw_config: RawConfig, tmp_path: Path) -> None:
    freeze(tmp_path, grid(raw_config, "seed=0", "seed=1", "seed=2"))
    with pytest.raises(ConfigError) as refused:
        refuse_another_grid(tmp_path, grid(raw_config, "seed=0 optim.ema=0.9", "seed=1"))
    assert str(refused.value).splitlines()[1:3] == [
        "#0 optim.ema: null -> 0.9",
        "#2 is not asked for any more (seed=2)",
    ]
    assert "2 of its 3 jobs changed, nothing was started" in str(refused.value)
    assert "hydra.sweep.dir=<folder>" in str(refused.value)


def test_a_long_difference_is_shortened(tmp_path: Path) -> None:
    freeze(tmp_path, [f"seed: {seed}" for seed in range(30)])
    with pytest.raises(ConfigError, match="and 10 more"):
        refuse_another_grid(tmp_path, [f"seed: {seed + 1}" for seed in range(30)])
    was, now = ("\n".join(f"key{letter}: {value}" for letter in "abcdefghi") for value in (1, 2))
    freeze(tmp_path, [was] * 30)
    with pytest.raises(ConfigError, match="keye: 1 -> 2, and 4 more"):
        refuse_another_grid(tmp_path, [now] * 30)


def test_a_key_that_is_new_is_named() -> None:
    assert difference("a: 1", "a: 1\nb: true") == ["b: (no such key) -> true"]


def test_a_folder_has_one_process_at_a_time(tmp_path: Path) -> None:
    held = hold(tmp_path)
    probe = "import sys; from pathlib import Path; from deit.config.ledger import hold; hold(Path(sys.argv[1]))"
    command = [sys.executable, "-c", probe, str(tmp_path)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "another process is at work on" in second.stderr
    held.close()
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("damage", ["", "seed: 1\nopt", "\0" * 40, None], ids=["emptied", "cut", "zeroed", "deleted"])
def test_a_job_whose_configuration_is_lost_is_the_one_that_is_asked_for(tmp_path: Path, damage: str | None) -> None:
    texts, jobs = [f"seed: {seed}\noptim:\n  lr: 0.1\n" for seed in range(3)], [[f"seed={seed}"] for seed in range(3)]
    freeze(tmp_path, texts)
    (tmp_path / "1").mkdir()
    (tmp_path / "1/run.json").write_text(json.dumps({"status": "done", "overrides": ["seed=1"]}))
    before, file = (tmp_path / ".preflight/0.yaml").stat().st_mtime_ns, tmp_path / ".preflight/1.yaml"
    if damage is None:
        file.unlink()
    else:  # what a file of before, without a checksum, would look like, too
        file.write_text(damage)
    assert refuse_another_grid(tmp_path, texts, jobs) == 0
    assert [note.partition(" is missing or damaged: job #1")[0] for note in lost(tmp_path)] == [str(file)]
    with pytest.raises(ConfigError, match="#1 seed=1 -> seed=7"):
        refuse_another_grid(tmp_path, texts, [*jobs[:1], ["seed=7"], *jobs[2:]])
    with pytest.raises(ConfigError, match="#2 seed: 2 -> 9"):
        refuse_another_grid(tmp_path, [*texts[:2], "seed: 9\noptim:\n  lr: 0.1\n"], jobs)
    freeze(tmp_path, texts)
    assert frozen(tmp_path) == texts
    assert lost(tmp_path) == []
    assert (tmp_path / ".preflight/0.yaml").stat().st_mtime_ns == before, "written once"
