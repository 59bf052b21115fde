"""Plots are drawn where there are figures for them, and only there."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from deit.report.contents import Contents, gather
from deit.report.drawing import Line, Panel, draw
from deit.report.plots import draw_all
from deit.report.seeds import Estimate

Leave = Callable[..., Path]


def drawn(folder: Path) -> tuple[dict[str, str], Contents]:
    contents = gather([folder])
    return {plot.name: plot.svg for plot, _, _ in draw_all(contents)}, contents


def test_each_plot_needs_its_figures(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "a", "distill=none", metrics={"test/acc1": 90.0})
    plots, contents = drawn(tmp_path)
    assert plots == {}
    assert [line.partition(":")[0] for line in contents.not_drawn] == [
        "Accuracy against throughput",
        "Accuracy against epochs",
        "Accuracy against resolution",
        "Students against their teachers",
        "Disagreement",
    ]


def test_each_plot_is_drawn_where_its_figures_are(leave_run: Leave, tmp_path: Path) -> None:
    figures = {"test/acc1": 90.0, "teacher/acc1": 98.0, "test/agreement": 90.0}
    decided = {name: [0, 1] for name in ("label", "class", "distill", "fused", "teacher")}
    leave_run(tmp_path / "a", "model=deit_b", metrics=figures, predictions=decided)
    leave_run(tmp_path / "b", "model=deit_b", "optim.epochs=60", metrics=figures | {"test/acc1": 91.0})
    leave_run(tmp_path / "c", "model=deit_b", "resolution=384", metrics=figures)
    leave_run(tmp_path / "d", "model=deit_b", "teacher=regnety_040", metrics=figures | {"teacher/acc1": 97.0})
    plots, contents = drawn(tmp_path)
    assert sorted(plots) == [
        "accuracy_epochs-nano-digits",
        "accuracy_resolution-nano-digits",
        "accuracy_throughput-nano-digits",
        "disagreement-nano-digits",
        "students_teachers-nano-digits",
    ]
    assert contents.not_drawn == []
    for svg in plots.values():
        ElementTree.fromstring(svg)
        assert not re.search(r"<image|<metadata|<script|#1a1b1c", svg)
        assert "currentColor" in svg


def test_names_are_drawn_as_text_and_nothing_else() -> None:
    panel = Panel(x="x", y="y", lines=[Line("<script>alert(1)</script> $x^2$"), Line("_hidden")])
    for line in panel.lines:
        line.add(1.0, Estimate(2.0, None, 1), "</svg><b>&")
    _, file, inline = draw([panel], salt="test")
    assert "<script>" not in file + inline
    texts = [element.text for element in ElementTree.fromstring(inline).iter("{http://www.w3.org/2000/svg}text")]
    assert {"<script>alert(1)</script> $x^2$", "hidden", "</svg><b>&"} <= set(texts)


def test_a_plot_is_the_same_each_time(leave_run: Leave, tmp_path: Path) -> None:
    for seed in range(2):
        leave_run(
            tmp_path / f"a{seed}", f"model=deit_{'ts'[seed]}{'i' * (1 - seed)}", metrics={"test/acc1": 90.0 + seed}
        )
    assert drawn(tmp_path)[0] == drawn(tmp_path)[0]


@pytest.mark.parametrize("width", [None, 0.0, 1.5])
def test_intervals_of_any_width_are_drawn(width: float | None) -> None:
    line = Line("a", points=[(1, Estimate(2, width, 2))], names=[""])
    panels = [Panel(x="x", y="y", log=True, lines=[line]), Panel(x="x", y="y", diagonal=True, lines=[line])]
    png, _, _ = draw(panels, salt="x")
    assert png.startswith(b"\x89PNG")
