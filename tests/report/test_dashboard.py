"""What a dashboard shows, read from the specification that would be sent."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from deit.report.contents import Contents, gather

Leave = Callable[..., Path]
pytest.importorskip("wandb_workspaces", reason="the extra dashboard is not installed")


def spec_of(contents: Contents, *sweeps: str) -> dict:
    """The section of the view as it would be sent."""
    from deit.report.dashboard import dashboard

    made = dashboard(contents, entity="me", project="deit", sweeps=sweeps)
    return json.loads(made._to_model().model_dump_json(by_alias=True, exclude_none=True))["spec"]["section"]


def panels_of(spec: dict) -> dict[str, list[dict]]:
    """Panels by section."""
    return {section["name"]: section["panels"] for section in spec["panelBankConfig"]["sections"]}


def titles(panels: list[dict]) -> list[str]:
    return [panel["config"]["chartTitle"] for panel in panels]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a dashboard is made without a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_only_the_runs_of_the_sweeps_are_shown(table3_sweep: Path) -> None:
    spec = spec_of(gather([table3_sweep]), "first", 'it\'s "quoted"')
    (runs,) = spec["runSets"]
    (found,) = runs["filters"]["filters"]
    assert (found["key"], found["op"]) == ({"section": "run", "name": "group"}, "IN")
    assert found["value"] == ["first", 'it\'s "quoted"']


def test_accuracy_and_curves_are_grouped_by_what_the_grid_varies(table3_sweep: Path) -> None:
    panels = panels_of(spec_of(gather([table3_sweep]), "sweep"))
    compared = ("distill.method", "distill.token", "model.name", "resolution.name")
    assert titles(panels["Accuracy"])[:4] == [f"test top-1 % by {key}" for key in compared]
    grouped = [panel["config"]["groupBy"] for panel in panels["Accuracy"][:4]]
    assert grouped == [".value.".join(key.split(".")) for key in compared], "as W&B addresses what a group holds"
    assert [panel["config"]["metrics"] for panel in panels["Curves"]] == [
        ["val/acc1"],
        ["train/loss"],
        ["val/agreement"],
        ["train/lr"],
    ]
    assert {panel["config"]["xAxis"] for panel in panels["Curves"]} == {"epoch"}


def test_a_grid_of_seeds_is_shown_by_method_and_model(leave_run: Leave, tmp_path: Path) -> None:
    for seed in (0, 1):
        leave_run(tmp_path / f"sweep/{seed}", f"seed={seed}", metrics={"test/acc1": 90.0})
    panels = panels_of(spec_of(gather([tmp_path / "sweep"]), "sweep"))
    assert titles(panels["Accuracy"]) == [
        "test top-1 % by distill.method",
        "test top-1 % by model.name",
        "test top-1 % against images/s in training",
        "test top-1 % by head",
    ]


def test_throughput_is_set_against_accuracy(table3_sweep: Path) -> None:
    panels = panels_of(spec_of(gather([table3_sweep]), "sweep"))["Accuracy"]
    (scatter,) = [panel["config"] for panel in panels if panel["viewType"] == "Scatter Plot"]
    assert (scatter["xAxis"], scatter["yAxis"]) == ("summary:train/images_per_s", "summary:test/acc1")


def test_the_papers_table_is_there_as_the_report_has_it(table3_sweep: Path) -> None:
    panels = panels_of(spec_of(gather([table3_sweep]), "sweep"))["The paper's tables"]
    texts = [panel["config"]["value"] for panel in panels]
    (table3,) = [text for text in texts if text.startswith("### Table 3")]
    assert "| hard, token: both heads | 74.5 | 82.0 ± 5.0, n=3 |" in table3


def test_without_a_figure_there_is_no_section_for_tables(leave_run: Leave, tmp_path: Path) -> None:
    (leave_run(tmp_path / "sweep/0") / "config.yaml").unlink()
    assert list(panels_of(spec_of(gather([tmp_path / "sweep"]), "sweep"))) == ["Accuracy", "Curves", "Test images"]


def test_no_run_of_a_large_sweep_is_left_out_of_its_panels(table3_sweep: Path) -> None:
    spec = spec_of(gather([table3_sweep]), "sweep")
    assert spec["settings"]["maxRuns"] == 48
