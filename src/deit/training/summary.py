"""The table that a run ends with."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

# Row, and the metrics it may come from, the first that the run has.
ROWS = {
    "teacher": ("teacher/acc1",),
    "class head": ("test/acc1_class",),
    "distillation head": ("test/acc1_distill",),
    "fused": ("test/acc1_fused",),
}


def show(title: str, metrics: dict[str, float], *, parameters: int, images_per_s: float, folder: Path) -> None:
    """Print accuracies on the test split, size, speed, and where the files are."""
    table = Table(title=title, show_header=True)
    table.add_column("")
    table.add_column("test top-1 %", justify="right")
    for label, names in ROWS.items():
        value = next((f"{metrics[name]:.2f}" for name in names if name in metrics), None)
        if value is not None:
            table.add_row(label, value)
    table.add_section()
    table.add_row("parameters", f"{parameters:,}")
    table.add_row("images/s in training", f"{images_per_s:,.0f}")
    console = Console()
    console.print(table)
    console.print(f"files: {folder}", soft_wrap=True)
