"""The study's page: its tables are those of the runs beside it, and its commands run."""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import commands
from conftest import ROOT, Outcome
from deit.report.folders import read
from deit.study.settings import settings
from deit.study.work import KEPT, PAGES, main

PAGE = (ROOT / "docs/study.md").read_text()
LOCAL = re.compile(r"(?<![\w.])/(?!github\.com)[a-z]+/\w+|[A-Z]:\\")
"""A path of one machine."""
TINY = (
    "data.train_fraction=0.25", "scale.depth=1", "scale.epochs=2", "teacher.fit.epochs=4", "teacher.nano_width=0.1",
)  # fmt: skip


def test_the_pages_show_what_the_runs_beside_them_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for page in PAGES:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    shutil.copytree(ROOT / KEPT, tmp_path / KEPT)
    monkeypatch.chdir(tmp_path)
    began = time.perf_counter()
    main([], None)
    assert time.perf_counter() - began < 30, "seconds, even beside other tests"
    for page in PAGES:
        assert Path(page).read_text() == (ROOT / page).read_text(), f"{page}: run make study"
    drawn = {path.name for path in Path("docs/study").glob("*.svg")}
    assert drawn == {path.name for path in (ROOT / "docs/study").glob("*.svg")} == set(re.findall(r"\w+\.svg", PAGE))


def test_the_runs_that_are_kept_are_whole_and_of_no_machine() -> None:
    runs, damaged = read([ROOT / KEPT])
    assert damaged == [] and all(run.status == "done" and not run.dry_run for run in runs)
    for setting in settings(runs):
        assert len(setting.seeds) >= 3 and len({frozenset(seed.runs) for seed in setting.seeds}) == 1
    for run in runs:
        assert len(run.predictions["label"]) == 10_000
        accuracy = 100 * np.mean(run.predictions["label"] == run.predictions["class"])
        assert accuracy == pytest.approx(run.figure("test/acc1_class"), abs=1e-3)
        for name in ("run.json", "config.yaml"):
            assert not LOCAL.search((run.path / name).read_text()), run.path / name


def test_what_make_does_for_the_page_is_in_the_makefile() -> None:
    """Its grids compose; the runs of `make study-runs` take hours."""
    made = subprocess.run(
        ["make", "-n", "--no-print-directory", "study-runs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    grids = [line for line in made.splitlines() if "src/train.py" in line]
    assert len(grids) == 4 and all("resources=local_parallel" in line and " -m " in line for line in grids)
    assert made.rstrip().endswith("src/study.py logs/study")
    assert set(re.findall(r"^make (\S+)", PAGE, re.MULTILINE)) == {"study", "study-runs"}


@pytest.mark.slow
def test_the_commands_of_the_page_run(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    lines = [shlex.split(line)[1:] for line in re.findall(r"^python src/.*$", PAGE, re.MULTILINE)]
    assert [line[0] for line in lines] == ["src/train.py", "src/study.py"]
    outcome = deit_train(*lines[0][1:], *TINY)
    assert outcome.status == 0, outcome.said
    done = commands.run(Path(lines[1][0]).name, *lines[1][1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "digits, 25 %: 8 runs, 2 seeds; " in done.stdout
    assert "| The student passes its teacher" in (tmp_path / "logs/study/study/study.md").read_text()
