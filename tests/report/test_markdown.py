"""The report as Markdown, letter by letter."""

from collections.abc import Callable
from pathlib import Path

from deit.report.contents import gather
from deit.report.markdown import escaped, markdown

Leave = Callable[..., Path]


def test_a_row_has_paper_ours_and_difference(table3_sweep: Path) -> None:
    lines = markdown(gather([table3_sweep])).splitlines()
    assert "48 runs: 48 done. `report.html` has curves, filters and the command of every run." in lines
    assert "### Table 3: distillation methods (ours: scale nano, digits)" in lines
    assert (
        "| no distillation | 72.2 | 52.0 ± 5.0, n=3 | −20.2 | 79.8 | 53.0 ± 5.0, n=3 | −26.8"  # noqa: RUF001
        " | 81.8 | 54.0 ± 5.0, n=3 | −27.8 | 83.1 | 55.0 ± 5.0, n=3 | −28.1 |"  # noqa: RUF001
    ) in lines
    assert not any(line.startswith("Missing, 0") for line in lines)


def test_a_configuration_is_a_row_with_its_seeds(table3_sweep: Path) -> None:
    text = markdown(gather([table3_sweep]))
    assert (
        "| deit_s, hard + token, regnety_160, 224 | 3 of 3 | 83.00 ± 4.97, n=3 | 82.00 ± 4.97, n=3"
        " | 82.50 ± 4.97, n=3 | 83.00 ± 4.97, n=3 | 99.00 ± 0.00, n=3 |"
    ) in text.splitlines()


def test_a_half_finished_sweep_lists_what_is_missing_and_what_is_damaged(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "s/0", "distill=none", metrics={"test/acc1": 90.0})
    leave_run(tmp_path / "s/1", "distill=none", "model=deit_s", status="failed", error="RunError: no disk")
    (leave_run(tmp_path / "s/2") / "run.json").write_text("{")
    lines = markdown(gather([tmp_path / "s"])).splitlines()
    assert "Missing, 23 of 24:" in lines
    assert "- no distillation: S 224 (failed (RunError: no disk)); B 224, B ↑384 (no run)" in lines
    assert "- s/1: failed (RunError: no disk)" in lines
    assert any(line.startswith("- s/2: run.json is damaged or cut off") for line in lines)


def test_letters_that_mean_something_in_markdown_are_shown_as_they_are() -> None:
    assert escaped("<b>|`x`|[y](z)\n# *") == r"\<b\>\|\`x\`\|\[y\](z) \# \*"


def test_figures_of_other_scales_are_not_to_be_compared_by_level(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "a", "distill=none", "scale=paper", "data=imagenet", metrics={"test/acc1": 72.4})
    text = markdown(gather([tmp_path]))
    assert "| 72.2 | 72.4, n=1 | +0.2 |" in text
    assert "compare orders, not levels" not in text
    leave_run(tmp_path / "b", "distill=none", metrics={"test/acc1": 72.4})
    assert "compare orders, not levels" in markdown(gather([tmp_path]))
