"""Run folders are read as far as they can be; what cannot be read is told in a line and the rest goes on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from deit.config.errors import ConfigError
from deit.report import folders
from deit.report.folders import Damaged, Run
from deit.training import folder as written

Leave = Callable[..., Path]


def test_a_run_is_read_as_it_was_left(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "run", "seed=3", metrics={"test/acc1": 97.5}, parameters=12, dry_run=False)
    ((run,), damaged) = folders.read([tmp_path / "run"])
    assert damaged == []
    assert (run.name, run.status, run.seed, run.overrides, run.dry_run) == ("run", "done", 3, ["seed=3"], False)
    assert run.config["model.name"] == "deit_ti"
    assert run.config["data.mean"] == [0.485, 0.456, 0.406]
    assert [run.figure(name) for name in ("test/acc1", "parameters", "timing/images_per_s")] == [97.5, 12, 100.0]
    assert run.figure("test/acc5") is None
    assert run.curves == {"val/acc1": [(1, 50), (2, 51), (3, 52)], "train/loss": [(1, 1), (2, 0.5), (3, 0.3333)]}
    assert run.epoch == 3


def test_the_schema_read_is_the_one_written() -> None:
    assert folders.SCHEMA == written.SCHEMA


def test_sweeps_are_searched_and_jobs_stand_in_their_order(leave_run: Leave, tmp_path: Path) -> None:
    for job in ("10", "9", "deep/1"):
        leave_run(tmp_path / "sweep" / job)
    (tmp_path / "sweep/9/wandb").mkdir()
    (tmp_path / "sweep/9/wandb/run.json").write_text("not a run: it lies below one")
    runs, damaged = folders.read([tmp_path / "sweep", tmp_path / "sweep/9"])
    assert damaged == []
    assert [run.name for run in runs] == ["sweep/deep/1", "sweep/9", "sweep/10"]


LAUGHS = "a: &a {x: 1}\n" + "\n".join(
    f"{name}: &{name} {{{', '.join(f'{key}: *{before}' for key in 'pqrstuvwxy')}}}"
    for before, name in zip("abcdef", "bcdefg", strict=True)
)
DAMAGE = [
    ("run.json", '{"schema": 1, "status": "do', "run.json is damaged or cut off"),
    ("run.json", "", "run.json is damaged or cut off"),
    ("run.json", "[]", "run.json is not a run's"),
    ("run.json", '{"schema": 2, "status": "done"}', "run.json has schema 2; only 1 is understood here"),
    ("run.json", "[" * 100_000, "recursion"),
    ("config.yaml", None, "config.yaml is missing"),
    ("config.yaml", "model: [", "config.yaml is damaged"),
    ("config.yaml", "name: x", "config.yaml is not a run's: it needs the group model"),
    ("config.yaml", "model: !!python/object/apply:os.system [true]", "config.yaml is damaged"),
    ("config.yaml", LAUGHS + "\nmodel: *g", "config.yaml is not a run's: it has more than 2000 keys"),
]


@pytest.mark.parametrize(("file", "text", "said"), DAMAGE, ids=[said for _, _, said in DAMAGE])
def test_a_damaged_folder_is_told_in_one_line(
    leave_run: Leave, tmp_path: Path, file: str, text: str | None, said: str
) -> None:
    leave_run(tmp_path / "good")
    bad = leave_run(tmp_path / "bad")
    (bad / file).unlink()
    if text is not None:
        (bad / file).write_text(text)
    runs, damaged = folders.read([tmp_path])
    assert [run.name for run in runs] == [f"{tmp_path.name}/good"]
    (one,) = damaged
    assert said in one.reason
    assert "\n" not in one.reason


def test_a_file_that_is_no_text_is_named(leave_run: Leave, tmp_path: Path) -> None:
    (leave_run(tmp_path / "bad") / "run.json").write_bytes(b"\xff\xfe\x00")
    assert folders.read([tmp_path]) == ([], [Damaged(tmp_path / "bad", f"{tmp_path.name}/bad", "run.json is no text")])


@pytest.mark.parametrize(
    ("text", "curves", "problem"),
    [
        ("step,val/acc1\n1,50\n", {}, "metrics.csv has no column epoch"),
        ("", {}, "metrics.csv has no column epoch"),
        (
            "step,epoch,val/acc1\n1,0,50\n2,?,60\n3,2,nan\n4,3\n5,4,70,80\n",
            {"val/acc1": [(1, 50), (5, 70)]},
            "metrics.csv: 1 rows without an epoch were left out",
        ),
    ],
)
def test_rows_that_make_no_sense_are_left_out(
    leave_run: Leave, tmp_path: Path, text: str, curves: dict, problem: str
) -> None:
    (leave_run(tmp_path / "run") / "metrics.csv").write_text(text)
    ((run,), _) = folders.read([tmp_path])
    assert (run.curves, run.problem) == (curves, problem)


def test_figures_that_are_no_numbers_are_left_out(leave_run: Leave, tmp_path: Path) -> None:
    run = leave_run(tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    record["metrics"] = {"test/acc1": float("nan"), "test/loss": "?", "val/acc1": 90, "x": 10**400, "y": [1]}
    record |= {"timing": 3, "environment": {"torch": 2, "SECRET_KEY": "hunter2"}, "parameters": "many"}
    (run / "run.json").write_text(json.dumps(record))
    ((read,), _) = folders.read([tmp_path])
    assert read.metrics == {"val/acc1": 90}
    assert (read.timing, read.parameters) == ({}, None)
    assert read.environment == {"torch": "2"}


def test_letters_that_command_a_terminal_or_cannot_be_written_are_replaced(leave_run: Leave, tmp_path: Path) -> None:
    run = leave_run(tmp_path / "\x1b[2Jrun", status="failed", error="\x1b[31m\ud800 \x00 é\n", overrides=["a=\x07"])
    config = (run / "config.yaml").read_text().replace("name: deit_ti", 'name: "\\x07"')
    (run / "config.yaml").write_text(config)
    ((read,), _) = folders.read([tmp_path])
    assert (read.path.name, read.name) == ("\x1b[2Jrun", f"{tmp_path.name}/?[2Jrun")
    assert (read.error, read.overrides) == ("?[31m? ? é\n", ["a=?"])
    assert read.config["model.name"] == "?"


@pytest.mark.parametrize("overrides", [["trainer.limit_batches=2"], []])
def test_dry_runs_are_known_before_they_are_done(leave_run: Leave, tmp_path: Path, overrides: list[str]) -> None:
    leave_run(tmp_path / "run", *overrides, status="running")
    ((run,), _) = folders.read([tmp_path])
    assert isinstance(run, Run)
    assert run.dry_run == bool(overrides)


def test_no_runs_and_no_folder_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"no runs in .*empty.*pass the folder of a run or of a sweep"):
        folders.read([tmp_path / "empty"])
    with pytest.raises(ConfigError, match=r"nowhere does not exist.*pass the folder"):
        folders.read([tmp_path / "nowhere"])
