"""What a sweep's dashboard at Weights & Biases shows, as plain objects: nothing is asked, nothing is sent.

wandb-workspaces is an extra; whoever imports this has found it (`deit.report.upload`).
"""

from collections.abc import Sequence

import wandb_workspaces.reports.v2 as panels
from wandb_workspaces import workspaces as ws

from deit.report.contents import Contents
from deit.report.markdown import paper_table
from deit.report.seeds import varied

COMPARED = ("distill.method", "distill.token", "model.name", "teacher.name", "resolution.name", "data.name")
"""Keys by which panels group, as far as the grid varies them."""
USUAL = ("distill.method", "model.name")
"""The same for a grid that varies none."""
ACCURACY, SPEED = "test/acc1", "train/images_per_s"
HEADS = ("test/acc1_class", "test/acc1_distill", "test/acc1_fused")
CURVES = ("val/acc1", "train/loss", "val/agreement", "train/lr")
TABLES = ("disagreement", "samples")
"""What a run logs when it is done."""
FEWEST_RUNS = 10  # that a panel shows by itself
WIDE = ws.SectionLayoutSettings(columns=1, rows=1)
LONGEST_NAME = 128


def dashboard(contents: Contents, *, entity: str, project: str, sweeps: Sequence[str]) -> ws.Workspace:
    """A workspace that shows the runs of ``sweeps`` alone, those that are still to come too."""
    keys = set(varied(contents.groups))
    compared = [key for key in COMPARED if key in keys] or list(USUAL)
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"sweep {', '.join(sweeps)}"[:LONGEST_NAME],
        sections=[_accuracy(compared), _curves(compared[0]), *_paper(contents), _images()],
        settings=ws.WorkspaceSettings(x_axis="epoch", max_runs=max(FEWEST_RUNS, len(contents.runs))),
        runset_settings=ws.RunsetSettings(filters=f"Metric('Group') in {list(sweeps)!r}"),
    )


def _accuracy(compared: Sequence[str]) -> ws.Section:
    by_key = [
        panels.BarPlot(
            title=f"test top-1 % by {key}",
            metrics=[ACCURACY],
            groupby=panels.Config(key),
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
        )
        for key in compared
    ]
    against_speed = panels.ScatterPlot(
        title="test top-1 % against images/s in training",
        x=panels.SummaryMetric(SPEED),
        y=panels.SummaryMetric(ACCURACY),
        log_x=True,
    )
    by_head = panels.BarPlot(title="test top-1 % by head", metrics=list(HEADS))
    return ws.Section(name="Accuracy", panels=[*by_key, against_speed, by_head], is_open=True)


def _curves(key: str) -> ws.Section:
    lines = [
        panels.LinePlot(
            title=f"{metric} by {key}",
            x="epoch",
            y=[metric],
            groupby=panels.Config(key),
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
        )
        for metric in CURVES
    ]
    return ws.Section(name="Curves", panels=[*lines], is_open=True)


def _paper(contents: Contents) -> list[ws.Section]:
    """The paper's tables as the report has them; being text, they do not follow the runs."""
    texts = [panels.MarkdownPanel(markdown="\n".join(paper_table(filled))) for filled in contents.tables]
    section = ws.Section(name="The paper's tables", panels=[*texts], is_open=True, layout_settings=WIDE)
    return [section] if texts else []


def _images() -> ws.Section:
    tables = [panels.WeavePanelSummaryTable(table_name=name) for name in TABLES]
    return ws.Section(name="Test images", panels=[*tables], layout_settings=WIDE)
