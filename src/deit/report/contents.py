"""All that a report says, gathered once for Markdown, spreadsheets and the page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deit.report import cells, evaluations, published, seeds
from deit.report.cells import FilledTable
from deit.report.evaluations import Evaluation
from deit.report.folders import Damaged, Run, read
from deit.report.relatives import with_relatives
from deit.report.seeds import Group
from deit.report.texts import labels


@dataclass(frozen=True)
class Plot:
    """A drawing, in the files ``plots/<name>.png`` and ``.svg``."""

    name: str
    title: str
    about: str
    svg: str
    """For a page that is light or dark: it takes the colour of the text around it."""


@dataclass
class Contents:
    """What was read and what follows from it."""

    runs: Sequence[Run]
    damaged: Sequence[Damaged]
    groups: Sequence[Group]
    labels: Sequence[str]
    """A label a group."""
    tables: Sequence[FilledTable]
    empty: Sequence[FilledTable]
    """Tables that runs belong in which have no figure for them."""
    published: Sequence[published.Table]
    plots: list[Plot] = field(default_factory=list)
    not_drawn: list[str] = field(default_factory=list)
    """Why a plot is not there."""
    evaluations: Sequence[Evaluation] = ()
    """What src/evaluate.py left in or below the folders."""


def gather(folders: Sequence[Path]) -> Contents:
    """Read ``folders`` and fill the paper's tables.

    Raises:
        ConfigError: where there are neither runs nor evaluations.
    """
    measured = {one.path.resolve(): one for folder in folders for one in evaluations.read_below(folder)}
    runs, damaged = read(folders, may_be_none=bool(measured))
    damaged += [one for one in measured.values() if isinstance(one, Damaged)]
    evaluated = [one for one in measured.values() if isinstance(one, Evaluation)]
    runs = with_relatives(runs, evaluated)
    groups = seeds.groups(runs)
    paper = published.tables()
    filled = cells.fill(paper, groups)
    return Contents(
        runs=runs,
        damaged=damaged,
        groups=groups,
        labels=labels(groups),
        tables=[one for one in filled if one.says_something],
        empty=[one for one in filled if not one.says_something],
        published=paper,
        evaluations=evaluated,
    )
