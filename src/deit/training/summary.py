"""The table that a run ends with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deit.config.errors import printable

# Row, the metrics it may come from, the first that the run has, and the head of its interval.
ROWS = {
    "teacher": ("teacher/acc1", "teacher"),
    "class head": ("test/acc1_class", "class"),
    "distillation head": ("test/acc1_distill", "distill"),
    "fused": ("test/acc1_fused", "fused"),
}


def show(
    title: str,
    metrics: Mapping[str, float],
    beside: Mapping[str, Any],
    *,
    parameters: int,
    images_per_s: float,
    folder: Path,
) -> None:
    """Print accuracies on the test split with intervals and baseline, size, speed, and where the files are.

    beside: What `training.closing.test_facts` returned; empty if nothing was tested.
    """
    console = Console(markup=False)
    intervals = beside.get("acc1_interval", {})
    table = Table(title=printable(title), show_header=True)
    table.add_column("")
    table.add_column("test top-1 %", justify="right")
    table.add_column("95 % (Wilson)", justify="right")
    for label, (name, head) in ROWS.items():
        if name in metrics:
            ends = intervals.get(head)
            table.add_row(label, f"{metrics[name]:.2f}", "" if ends is None else f"{ends[0]:.2f} to {ends[1]:.2f}")
    if beside:
        table.add_row("majority class", f"{beside['majority_acc1']:.2f}", "")
    table.add_section()
    table.add_row("parameters", f"{parameters:,}", "")
    table.add_row("images/s in training", f"{images_per_s:,.0f}", "")
    console.print(table)
    if beside.get("collapsed"):
        console.print(
            f"warning: of {beside['classes_with_images']} classes only {beside['classes_predicted']} are ever predicted"
            f" on the {beside['images']:,} test images; compare the accuracies with that of the majority class",
            soft_wrap=True,
        )
    console.print(f"files: {printable(folder)}", soft_wrap=True)
