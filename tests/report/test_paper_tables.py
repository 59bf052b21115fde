"""The paper's tables are data: complete, well-formed, and each cell says which run it is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deit.report import published
from deit.report.facts import facts, meets
from deit.report.folders import read
from deit.report.published import Table, parse

TABLES = {table.name: table for table in published.tables()}


def figure_of(table: Table, row: str, column: str) -> published.Cell:
    labels = [c.label for c in table.columns]
    (found,) = (r.cells[labels.index(column)] for r in table.rows if r.label == row)
    return found


def test_every_table_is_there_in_the_papers_order() -> None:
    tables = ["table1", "table2", "table3", "table4", "table5", "table7", "table8", "table10"]
    assert list(TABLES) == [*tables, "figure3", "token_cosine"]


@pytest.mark.parametrize(
    ("table", "row", "column", "value"),
    [
        ("table1", "DeiT-Ti", "images/s", 2536),
        ("table2", "RegNetY-4GF", "student ↑384", 83.6),
        ("table3", "hard, token: both heads", "B ↑384", 84.5),
        ("table3", "usual (soft), class token only", "S 224", 79.8),
        ("table4", "class head", "both heads", 0.033),
        ("table5", "DeiT-S distilled, 1000 epochs", "V2", 71.7),
        ("table7", "DeiT-B ↑384", "iNat-18", 79.5),
        ("table8", "no repeated augmentation", "↑384", 77.4),
        ("table10", "320", "ImageNet", 82.7),
        ("figure3", "1000", "hard, token", 84.2),
        ("token_cosine", "after the last block", "DeiT-B", 0.93),
    ],
)
def test_figures_are_the_papers(table: str, row: str, column: str, value: float) -> None:
    assert figure_of(TABLES[table], row, column).paper == value


def test_where_versions_differ_both_are_known() -> None:
    cell = figure_of(TABLES["table2"], "RegNetY-16GF", "student 224")
    assert (cell.paper, cell.icml) == (83.1, 83.0)


def test_what_was_read_off_a_plot_is_marked() -> None:
    assert figure_of(TABLES["figure3"], "800", "usual").unconfirmed
    assert not figure_of(TABLES["figure3"], "300", "usual").unconfirmed


def test_disagreement_is_symmetric() -> None:
    cells = {(r, c): cell for r, c, cell in TABLES["table4"].cells()}
    assert all(cell.paper == cells[c, r].paper for (r, c), cell in cells.items())


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_no_two_cells_are_the_same_figure_of_the_same_run(table: Table) -> None:
    if table.matrix:
        return
    asked = [(repr(sorted((c.conditions or {}).items())), c.figure) for _, _, c in table.cells() if c.can_be_filled]
    # Table 8 prints the default twice: where fine-tuning alone changes, the pretraining does not.
    assert len(asked) - len(set(asked)) == (1 if table.name == "table8" else 0)


def test_what_no_source_states_is_unconfirmed() -> None:
    levels = {
        TABLES["figure3"].rows[row].label: (cell.paper, cell.unconfirmed)
        for row, column, cell in TABLES["figure3"].cells()
        if column == 0
    }
    assert levels == {
        "300": (81.8, False),
        "400": (82.2, False),
        "500": (82.2, True),
        "800": (82.2, True),
        "1000": (82.2, True),
    }


def test_two_class_tokens_are_compared_as_they_were_learnt() -> None:
    figures = {cell.paper: cell.figure for _, _, cell in TABLES["token_cosine"].cells() if cell.paper is not None}
    assert figures == {0.06: "token_cosine/input", 0.93: "token_cosine/output", 0.999: "token_cosine/input"}


RECIPES = [
    (("official/deit_ti",), "table3", 72.2),
    (("official/deit_s_soft_no_token",), "table3", 79.8),
    (("official/deit_b_hard_no_token",), "table3", 83.0),
    (("official/deit_b_hard",), "table3", 83.4),
    (("official/deit_b_hard_384", "init=x"), "table3", 84.5),
    (("official/deit_ti_hard_1000",), "table5", 76.6),
    (("official/deit_b_1000",), "figure3", 82.2),
    (("official/deit_b_hard", "teacher=regnety_040"), "table2", 82.7),
    (("official/deit_b", "augment.erasing=0"), "table8", 4.3),
    (("official/deit_b", "augment.auto_augment=original"), "table8", 81.2),
    (("official/deit_b", "optim=sgd"), "table8", 74.5),
    (("official/deit_b_160", "init=x"), "table10", 79.9),
    (("official/transfer_cifar100", "init=x"), "table7", 90.8),
]


@pytest.mark.parametrize(("recipe", "table", "value"), RECIPES, ids=["-".join(r[0]) for r in RECIPES])
def test_the_official_recipes_stand_where_the_paper_has_them(
    leave_run: Callable[..., Path], tmp_path: Path, recipe: tuple[str, ...], table: str, value: float
) -> None:
    ((run,), _) = read([leave_run(tmp_path / "run", f"experiment={recipe[0]}", *recipe[1:])])
    known = facts(run, [run])
    places = [
        cell for _, _, cell in TABLES[table].cells() if cell.can_be_filled and meets(known, cell.conditions or {})
    ]
    assert value in [cell.paper for cell in places]
    accuracies = {cell.paper for cell in places if cell.figure in ("test/acc1", "test/acc1_fused", "test/acc1_class")}
    assert len(accuracies) <= (2 if table in ("table3", "table8") else 1)  # two heads; the default printed twice


GOOD = """
title: T
source: S
unconfirmed: []
columns: [{label: A, figure: test/acc1}]
rows: [{label: r, run: {model.name: deit_ti}, values: [1.0]}]
"""


def test_a_small_table() -> None:
    ((cell,),) = (row.cells for row in parse("small", GOOD).rows)
    assert (cell.paper, cell.figure, cell.conditions) == (1.0, "test/acc1", {"model.name": "deit_ti"})


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("title: T\n", "", "the table lacks title"),
        ("source: S", "sauce: S", "unknown keys: sauce"),
        ("[1.0]", "[1.0, 2.0]", "row r has 2 values for 1 columns"),
        ("[1.0]", "[true]", "neither a number nor a text"),
        ("[1.0]", "[{paper: 1, icml: [2]}]", "neither a number nor a text"),
        ("[1.0]", "[{value: 1}]", "unknown keys: value"),
        ("[1.0]", "[{paper: 1, other_run: {seed: 1}}]", "other_run is for a figure disagreement/"),
        ("model.name", "model.nmae", "model.nmae is no key of the configuration"),
        ("model.name", "pretraining.model.nmae", "is no key of the configuration"),
        ("rows: [", "rows: [7, ", "a row must have keys"),
        ("columns: [", "columns: ", "rows must be a list|expected"),
        ("unconfirmed: []", "unconfirmed: none", "unconfirmed must be a list"),
    ],
)
def test_a_malformed_file_is_refused_by_its_name(before: str, after: str, said: str) -> None:
    assert before in GOOD
    with pytest.raises(ValueError, match=rf"(?s)paper/bad.yaml: .*({said})"):
        parse("bad", GOOD.replace(before, after))
