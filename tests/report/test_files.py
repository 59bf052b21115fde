"""What the command takes and what it leaves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deit.config.errors import ConfigError
from deit.report.contents import gather
from deit.report.files import main, parse, write

Leave = Callable[..., Path]


def test_folders_and_output(tmp_path: Path) -> None:
    assert parse(["a", "b"]) == ([Path("a"), Path("b")], Path("a/report"), False)
    assert parse(["output=c", "a", "wandb=true"]) == ([Path("a")], Path("c"), True)


def test_a_folder_may_have_an_equals_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model=deit_s").mkdir()
    assert parse(["model=deit_s"])[0] == [Path("model=deit_s")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "outptu=b"], "outptu=b is no option; possible: output, wandb; pass output=<folder>"),
        (["a", "--output"], "--output is no option; possible: output, wandb; pass output=<folder>"),
        (["a", "wand=true"], "wand=true is no option; possible: output, wandb; pass wandb=true"),
        (["a", "wandb=yes"], "wandb=yes is unknown; possible: true, false; pass wandb=true"),
        (["output=b"], "no folder is named; pass the folder of a run or of a sweep"),
        ([str(Path(__file__)), f"output={__file__}"], "is a file; pass output=<folder>"),
    ],
)
def test_mistakes_are_told(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(arguments)


def test_what_an_earlier_report_left_is_replaced(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "runs/a", "distill=none", metrics={"test/acc1": 90.0})
    output = tmp_path / "report"
    for old in ("plots/old.png", "tables/old.csv", "tables/mine.txt"):
        (output / old).parent.mkdir(parents=True, exist_ok=True)
        (output / old).write_text("")
    write(gather([tmp_path / "runs"]), output)
    left = sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())
    tables = [f"tables/{name}-nano-digits.csv" for name in ("table1", "table3", "table5")]
    assert left == ["report.html", "report.md", "runs.csv", "tables/mine.txt", *tables]


def test_a_report_of_nothing_that_can_be_read_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text('{"schema": 0, "status": "done"}')
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path)], None)
    told = capsys.readouterr()
    assert end.value.code == 1
    assert "schema 0; only 1 is understood" in told.out
    assert "the report is empty" in told.err
