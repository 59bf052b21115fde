"""Tables of the study in pages, and what src/study.py takes, says and leaves."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deit.config.errors import ConfigError
from deit.study.pages import filled
from deit.study.work import FILES, KEPT, Request, main, parse

ROOT = Path(__file__).parents[2]
HEADS = ("class", "distill", "fused", "teacher")
Leave = Callable[..., Path]


def leave_study(leave_run: Leave, folder: Path, *, seeds: int = 3, gain: float = 2.0) -> Path:
    """A sweep in which hard labels gain a point a seed around ``gain`` over none, and the token as much again."""
    job = 0
    for seed in range(seeds):
        for number, (cell, typed) in enumerate({"none": "none", "hard": "hard", "token": "hard"}.items()):
            accuracy = 60 + number * gain + 0.1 * seed * number
            metrics = {"test/acc1": accuracy, "teacher/acc1": 80.0}
            metrics |= {f"test/acc1_{head}": accuracy for head in HEADS[:3]}
            decided = {"label": [0, 1], **{head: [0, 1] for head in HEADS}}
            run = leave_run(
                folder / "sweep" / str(job), f"distill={typed}", f"seed={seed}",
                metrics=metrics, predictions=decided, dry_run=False,
            )  # fmt: skip
            record = json.loads((run / "run.json").read_text())
            record["overrides"] += [f"cell=[{cell}]"]
            record["timing"]["fit_s"] = 1800.0
            (run / "run.json").write_text(json.dumps(record))
            job += 1
    return folder


def test_a_table_takes_its_place_between_marks() -> None:
    text = "before\n<!-- study: claims -->\nold\n<!-- end of study -->\nafter <!-- a note -->\n"
    once = filled(text, {"claims": "| new |\n"})
    assert once == "before\n<!-- study: claims -->\n| new |\n<!-- end of study -->\nafter <!-- a note -->\n"
    assert filled(once, {"claims": "| new |\n"}) == once


def test_marks_that_name_no_table_are_refused() -> None:
    with pytest.raises(ConfigError, match="<!-- study: claim --> names no table; possible: claims, costs"):
        filled("<!-- study: claim -->\n<!-- end of study -->", {"claims": "", "costs": ""})
    with pytest.raises(ConfigError, match="no <!-- study: claims --> and <!-- end of study --> to write"):
        filled("text", {"claims": ""})


def test_what_may_be_typed(tmp_path: Path) -> None:
    assert parse([]) == Request(KEPT, False)
    assert parse([str(tmp_path)]) == Request(tmp_path, False)
    assert parse([str(tmp_path), "keep=true"]) == Request(tmp_path, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere is neither a folder nor an option; possible: a folder of sweeps such as logs/study"),
        (["--kep"], "--kep is neither a folder nor an option; .*; pass keep=true"),
        ([""], "an empty word is neither a folder nor an option"),
        ([".", "keep=yes"], "keep=yes is unknown; possible: true, false; pass keep=true"),
        ([".", ".."], "2 folders are named; pass the one that holds the study's sweeps"),
        (["keep=true"], "keep=true keeps runs of another folder in docs/study/runs; pass logs/study keep=true"),
    ],
)
def test_mistakes_of_the_study_are_told(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(arguments)


def test_a_folder_without_runs_ends_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)], None)
    assert ended.value.code == 2
    assert "no runs in" in capsys.readouterr().err


def test_runs_of_ones_own_get_a_page_of_their_own(
    leave_run: Leave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    main([str(leave_study(leave_run, Path("logs/study")))], None)
    page = Path("logs/study/study/study.md").read_text()
    assert "| +2.1 ± 0.2 confirmed |" in page, "hard over none: 2.0, 2.1, 2.2"
    assert "15.8 ± 0.5 opposite |" in page, "student over teacher: 64 + 0.2 a seed less 80"
    assert "![claims](claims.svg)" in page and Path("logs/study/study/claims.svg").read_text().startswith("<?xml")
    assert "| runs | 9 |" in page and "| hours of training, one core | 4.5 |" in page
    assert not Path("docs").exists(), "the documentation is left alone"
    assert "digits, 100 %: 9 runs, 3 seeds; " in capsys.readouterr().out


def test_runs_that_are_kept_are_those_that_the_documentation_shows(
    leave_run: Leave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (KEPT / "old/0").mkdir(parents=True)
    for page, table in (("docs/study.md", "claims"), ("README.md", "verdicts")):
        Path(page).write_text(f"mine\n<!-- study: {table} -->\n<!-- end of study -->\nmine too\n")
    leave_study(leave_run, Path("logs/study"))
    tuned = tmp_path / "logs/study/sweep/2"
    config = (tuned / "config.yaml").read_text()
    (tuned / "config.yaml").write_text(config.replace("init: null", f"init: {tuned.parent}/1/checkpoints/best.ckpt"))
    main(["logs/study", "keep=true"], None)
    assert sorted(path.name for path in (KEPT / "sweep").iterdir()) == [str(job) for job in range(9)]
    assert {path.name for path in (KEPT / "sweep/0").iterdir()} == set(FILES), "no checkpoints"
    assert not (KEPT / "old").exists()
    kept = (KEPT / "sweep/2/config.yaml").read_text()
    assert "\ninit: docs/study/runs/sweep/1/checkpoints/best.ckpt\n" in kept and str(tmp_path) not in kept
    first = Path("docs/study.md").read_text()
    assert "+2.1 ± 0.2 confirmed" in first and first.endswith("<!-- end of study -->\nmine too\n")
    assert "✔ +4.2" in Path("README.md").read_text()
    shutil.rmtree("logs")
    main([], None)
    assert Path("docs/study.md").read_text() == first, "from what is kept alone"


def test_what_is_kept_is_not_given_up_for_less(
    leave_run: Leave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (KEPT / "old/0").mkdir(parents=True)
    (leave_study(leave_run, Path("logs/study")) / "sweep/4/predictions.npz").unlink()
    for folder, said in (("logs/study", "study/sweep/4 has no predictions.npz; "), (KEPT, "runs of another folder")):
        with pytest.raises(SystemExit) as ended:
            main([str(folder), "keep=true"], None)
        assert ended.value.code == 2 and said in capsys.readouterr().err
    assert (KEPT / "old/0").is_dir()
