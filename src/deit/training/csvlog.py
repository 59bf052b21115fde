"""metrics.csv: one row an epoch or logged step, the source of truth for every report."""

import csv
import io
import logging
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from deit.config.errors import ConfigError, printable
from deit.config.sealed import refuse_unlisted, write_listed

log = logging.getLogger(__name__)

Row = dict[str, str]


class MetricsFile(Logger):
    """Lightning logger that adds rows to ``metrics.csv``.

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
        """Take up the rows of an earlier process that were logged before ``step``.

        Raises:
            ConfigError: if they are damaged.
        """
        if step and not self.path.is_file():
            log.warning(
                f"{self.path} is missing: the rows before step {step} are lost; the run is as it would have been"
            )
        elif step:
            try:
                refuse_unlisted(self.path, self.path.read_bytes())
                self._read(step)
            except (ValueError, KeyError, TypeError, csv.Error) as error:
                raise ConfigError(
                    f"{self.path} is damaged ({printable(error)}); delete it, and the rows before step {step} are lost"
                ) from None
        self._rewrite()

    def _read(self, step: int) -> None:
        with self.path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
        if any(None in row for row in rows):
            raise ValueError("a row has more cells than the header")
        self.rows = [row for row in rows if int(row["step"]) < step]
        self.columns = list(reader.fieldnames or self.columns)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, object] | Namespace, *args: object, **kwargs: object) -> None:
        """Nothing: config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        values = {name: f"{value:.10g}" for name, value in metrics.items()} | {"step": str(step or 0)}
        if self.rows and self.rows[-1]["step"] == values["step"]:
            self.rows[-1].update(values)
        else:
            self.rows.append(values)
        self.columns += [name for name in values if name not in self.columns]
        self._rewrite()  # a row that is appended could be cut in its middle by a full disk or a kill

    def _rewrite(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns, restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        write_listed(self.path, text.getvalue())
