"""The report as Markdown: the paper's tables with paper, ours and difference; what is missing; every configuration."""

import re
from collections.abc import Iterator, Sequence

from deit.report.cells import NO_RUN, FilledTable, state
from deit.report.contents import Contents
from deit.report.texts import (
    NOTHING,
    count_statuses,
    delta_text,
    heading,
    is_compared,
    missing_lines,
    ours_text,
    paper_text,
    setting,
)

HOW_TO_READ = (
    "Ours is the mean over seeds ± half of its 95 % interval (Student's t), n the number of seeds; Δ is ours less the"
    f" paper's. [ ] is the ICML version's figure, ? one that is not confirmed, {NOTHING} one that does not exist."
)
OTHER_SETTING = "The paper's figures are ImageNet's at paper scale: beside these runs compare orders, not levels."


def markdown(contents: Contents) -> str:
    """The whole report; plots are linked from ``plots/``."""
    return "\n".join(_lines(contents)) + "\n"


def _lines(contents: Contents) -> Iterator[str]:
    yield "# Report\n"
    yield f"{escaped(count_statuses(contents.runs))}. `report.html` has curves, filters and the command of every run.\n"
    if contents.tables:
        yield f"## The paper's tables\n\n{HOW_TO_READ}\n"
    for filled in contents.tables:
        yield from paper_table(filled)
    yield from (f"- {escaped(line)}" for line in without_figures(contents.empty))
    yield ""
    yield from _groups(contents)
    if contents.plots or contents.not_drawn:
        yield "## Plots\n"
    for plot in contents.plots:
        yield f"![{escaped(plot.title)}](plots/{plot.name}.png)\n\n{plot.about}\n"
    yield from (f"- {line}" for line in contents.not_drawn)
    yield from _unfinished(contents)


def paper_table(filled: FilledTable) -> Iterator[str]:
    """A table of the paper with ours beside it, its source, and what is to be known of it."""
    table = filled.table
    yield f"### {table.title} (ours: {escaped(setting(filled))})\n"
    header = [table.corner]
    for c, column in enumerate(table.columns):
        if is_compared(filled, c):
            header += [f"{heading(column)}: paper", f"ours{f' ({column.ours})' if column.ours else ''}"]
            header += ["Δ"] if column.compare else []
        else:
            header.append(heading(column))
    rows = []
    for r, row in enumerate(table.rows):
        texts = [row.label]
        for c, column in enumerate(table.columns):
            texts.append(paper_text(row.cells[c], column))
            if is_compared(filled, c):
                cell = filled.cells.get((r, c))
                texts.append(ours_text(cell.estimate if cell else None, column.digits))
                texts += [delta_text(filled.delta((r, c)), column.digits)] if column.compare else []
        rows.append(texts)
    yield from grid(header, rows)
    yield f"Source: {escaped(table.source)}."
    if other_setting(filled):
        yield other_setting(filled)
    yield ""
    yield from _list("Not confirmed", table.unconfirmed)
    yield from _list("Notes", filled.remarks)
    yield from _list(f"Missing, {len(filled.cells) - filled.num_filled} of {len(filled.cells)}", missing_lines(filled))


def other_setting(filled: FilledTable) -> str:
    """What to keep in mind where ours is not the paper's scale and data; empty where it is."""
    return "" if (filled.scale, filled.data or "imagenet") == ("paper", "imagenet") else OTHER_SETTING


def without_figures(empty: Sequence[FilledTable]) -> list[str]:
    """A line a table that runs belong in and bring no figure for."""
    lines = []
    for filled in empty:
        reasons = dict.fromkeys(reason for _, by_reason in filled.missing() for reason in by_reason if reason != NO_RUN)
        lines.append(f"No figure for {filled.table.title} ({setting(filled)}): {', '.join(reasons)}")
    return lines


def _groups(contents: Contents) -> Iterator[str]:
    yield "## Configurations\n\nRuns that differ by their seed alone stand in one row; accuracies in percent.\n"
    header = ["configuration", "seeds done", "test", "class head", "distillation head", "both heads", "teacher"]
    figures = ("test/acc1", "test/acc1_class", "test/acc1_distill", "test/acc1_fused", "teacher/acc1")
    rows = [
        [
            label,
            f"{len(group.done)} of {len({run.seed for run in group.runs})}",
            *(ours_text(group.estimate(figure), 2) for figure in figures),
        ]
        for label, group in zip(contents.labels, contents.groups, strict=True)
    ]
    yield from grid(header, rows)


def _unfinished(contents: Contents) -> Iterator[str]:
    others = [run for run in contents.runs if run.status != "done" or run.dry_run]
    yield from _list("Runs that are not done, and dry runs", [f"{run.name}: {state(run)}" for run in others])
    damaged = [f"{one.name}: {one.reason}" for one in contents.damaged]
    damaged += [f"{run.name}: {run.problem}" for run in contents.runs if run.problem is not None]
    yield from _list("Folders that could not be read, or not wholly", damaged)


def _list(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"{title}:\n"
        yield from (f"- {escaped(line)}" for line in lines)
        yield ""


def grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table; its first column is of texts, the others of numbers."""
    yield f"| {' | '.join(map(escaped, header))} |"
    yield f"|{'---|' + '--:|' * (len(header) - 1)}"
    yield from (f"| {' | '.join(map(escaped, row))} |" for row in rows)
    yield ""


def escaped(text: str) -> str:
    """``text`` as Markdown shows it letter by letter, on one line."""
    return re.sub(r"([\\`*\[\]<>|#])", r"\\\1", " ".join(text.split()))
