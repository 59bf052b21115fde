"""The paper's tables as data: what each figure is, where it stands, and which run of ours belongs beside it.

One YAML file a table in ``paper/``. A cell's conditions are the table's, the column's, the row's and its own, the
later winning; a run belongs to the cell if it meets all of them (`facts`). Nothing depends on what a run is called.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import cast

import yaml

from deit.config.mistakes import known_keys
from deit.report.facts import DERIVED, PRETRAINING

HELD = (
    "scale.name", "scale.depth", "scale.head_dim", "scale.patch_size", "data", "augment", "optim.kind",
    "optim.ema_chosen", "model.drop_path", "model.dropout",
)  # fmt: skip
"""What the runs of one table have in common unless the table says otherwise: all that Table 8 changes, and the data."""

DISAGREEMENT = "disagreement/"

Conditions = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table."""

    label: str
    unit: str = ""
    digits: int = 1
    """Decimals of our figures and of differences: as many as the paper prints."""
    compare: bool = True
    """Whether the paper's figure and ours measure the same thing, so that their difference says something."""
    ours: str = ""
    """What ours is, where it is not quite what the paper has."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure of the paper, and the run of ours that belongs beside it."""

    paper: float | str | None
    """None where the paper has none; a text where nothing is measured."""
    icml: float | None = None
    """The figure of the ICML version where it differs."""
    unconfirmed: bool = False
    figure: str | None = None
    """Where ours is: in run.json, as `Run.figure` has it, or ``disagreement/<one>/<other>`` for the share of test
    images for which two columns of predictions.npz are not the same. None: nowhere."""
    conditions: Conditions | None = None
    """What the configuration of a run must be; None where no run of ours can be meant."""
    other: Conditions | None = None
    """What the run must be whose predictions are the other ones; None where both are of one run."""

    @property
    def can_be_filled(self) -> bool:
        return self.conditions is not None and self.figure is not None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: its label, its cells in the order of the columns, and the line that it is a point of in a plot."""

    label: str
    series: str | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table or figure of the paper."""

    name: str
    """Of its file, and of the files made from it."""
    title: str
    source: str
    unconfirmed: tuple[str, ...]
    corner: str
    """What the rows are."""
    held: tuple[str, ...]
    """Keys, or groups of them, in which all runs that fill the table agree."""
    matrix: bool
    """Whether rows and columns are the same things, compared with each other."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def cells(self) -> Iterator[tuple[int, int, Cell]]:
        """Row number, column number and cell, row by row."""
        for r, row in enumerate(self.rows):
            for c, cell in enumerate(row.cells):
                yield r, c, cell

    @property
    def chooses_data(self) -> bool:
        """Whether its cells differ by data set."""
        return any("data.name" in (cell.conditions or {}) for _, _, cell in self.cells())


TABLE_KEYS = {"title", "source", "unconfirmed", "corner", "held", "matrix", "run", "columns", "rows"}
COLUMN_KEYS = {"label", "unit", "digits", "compare", "ours", "figure", "run"}
ROW_KEYS = {"label", "series", "figure", "run", "values"}
CELL_KEYS = {"paper", "icml", "unconfirmed", "figure", "run", "other_run", "ours"}


def tables() -> list[Table]:
    """Every table, in the paper's order."""
    folder = resources.files("deit.report") / "paper"
    files = {file.name.removesuffix(".yaml"): file for file in folder.iterdir() if file.name.endswith(".yaml")}
    return [parse(name, files[name].read_text(encoding="utf-8")) for name in sorted(files, key=_place)]


def _place(name: str) -> tuple[str, int]:
    """Tables by number, then what is no table."""
    word = name.rstrip("0123456789")
    return ("" if word == "table" else word, int(name.removeprefix(word) or 0))


def parse(name: str, text: str) -> Table:
    """The table that ``text``, the content of ``<name>.yaml``, describes.

    Raises:
        ValueError: naming the file and the place, for anything that is not as it must be.
    """
    try:
        content = _mapping(yaml.safe_load(text), "the table", TABLE_KEYS, required=("title", "source", "unconfirmed"))
        raw_columns = [
            _mapping(item, "a column", COLUMN_KEYS, required=("label",)) for item in _list(content, "columns")
        ]
        shown = ("label", "unit", "digits", "compare", "ours")
        return Table(
            name=name,
            title=str(content["title"]),
            source=str(content["source"]),
            unconfirmed=tuple(str(line) for line in _list(content, "unconfirmed")),
            corner=str(content.get("corner", "")),
            held=tuple(_known(key) for key in cast(list, content.get("held", list(HELD)))),
            matrix=bool(content.get("matrix", False)),
            columns=tuple(Column(**{key: item[key] for key in shown if key in item}) for item in raw_columns),
            rows=tuple(_row(item, raw_columns, content) for item in _list(content, "rows")),
        )
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"paper/{name}.yaml: {error}") from error


def _row(raw: object, columns: list[dict], table: dict) -> Row:
    item = _mapping(raw, "a row", ROW_KEYS, required=("label", "values"))
    values = _list(item, "values")
    if len(values) != len(columns):
        raise ValueError(f"row {item['label']} has {len(values)} values for {len(columns)} columns")
    cells = tuple(_cell(value, column, item, table) for value, column in zip(values, columns, strict=True))
    return Row(label=str(item["label"]), series=item.get("series"), cells=cells)


def _cell(value: object, column: dict, row: dict, table: dict) -> Cell:
    where = f"row {row['label']}, column {column['label']}"
    own: dict = _mapping(value, where, CELL_KEYS, required=("paper",)) if isinstance(value, dict) else {"paper": value}
    for key in ("paper", "icml"):
        if isinstance(own.get(key), bool) or not isinstance(own.get(key), (int, float, str, type(None))):
            raise ValueError(f"{where}: {key}: {own[key]} is neither a number nor a text")
    named = own.get("figure") or row.get("figure") or column.get("figure")
    if "other_run" in own and not str(named).startswith(DISAGREEMENT):
        raise ValueError(f"{where}: other_run is for a figure {DISAGREEMENT}<one>/<other> alone")
    is_text = isinstance(own["paper"], str)
    ours = own.get("ours", "run" in row or "run" in own) and not is_text
    common = [item.get("run", {}) for item in (table, column, row)]
    return Cell(
        paper=own["paper"],
        icml=own.get("icml"),
        unconfirmed=bool(own.get("unconfirmed", False)),
        figure=None if is_text else named,
        conditions=_together(*common, own.get("run", {})) if ours else None,
        other=_together(*common, own["other_run"]) if ours and "other_run" in own else None,
    )


def _together(*parts: dict) -> Conditions:
    return {_known(key): wanted for part in parts for key, wanted in part.items()}


def _known(key: str) -> str:
    """``key``, if a run's configuration can be asked for it."""
    if key not in DERIVED and key.removeprefix(PRETRAINING) not in known_keys():
        raise ValueError(f"{key} is no key of the configuration; possible besides: {', '.join(DERIVED)}")
    return key


def _mapping(value: object, where: str, keys: set[str], required: tuple[str, ...]) -> dict:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must have keys, but is {value!r}")
    if strange := sorted(set(value) - keys):
        raise ValueError(
            f"{where} has unknown keys: {', '.join(map(str, strange))}; possible: {', '.join(sorted(keys))}"
        )
    if missing := [key for key in required if key not in value]:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    return value


def _list(content: dict, key: str) -> list:
    if not isinstance(content.get(key), list):
        raise ValueError(f"{key} must be a list, but is {content.get(key)!r}")
    return content[key]
