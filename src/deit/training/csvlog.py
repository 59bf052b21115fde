"""metrics.csv: one row an epoch or logged step, the source of truth for every report."""

import csv
import io
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from deit.training.folder import write_atomically

Row = dict[str, str]


class MetricsFile(Logger):
    """Lightning logger that appends rows to ``metrics.csv``.

    What is logged at the same step lands in the same row. A new name adds a column. A run that is
    resumed from a step forgets the rows after it, so that none is missing and none is double.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.columns: list[str] = ["step", "epoch"]
        self.rows: list[Row] = []

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Take up the rows of an earlier process that were logged before ``step``."""
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                self.rows = [row for row in reader if int(row["step"]) < step]
                self.columns = list(reader.fieldnames or self.columns)
        self._rewrite()

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, object] | Namespace, *args: object, **kwargs: object) -> None:
        """Nothing: config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        values = {name: f"{value:.10g}" for name, value in metrics.items()} | {"step": str(step or 0)}
        same_row = bool(self.rows) and self.rows[-1]["step"] == values["step"]
        if same_row:
            self.rows[-1].update(values)
        else:
            self.rows.append(values)
        new = [name for name in values if name not in self.columns]
        self.columns += new
        if same_row or new:
            self._rewrite()
        else:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.columns, restval="").writerow(values)

    def _rewrite(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns, restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        write_atomically(self.path, text.getvalue())
