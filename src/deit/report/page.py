"""The report as one HTML page that needs no network: tables that sort, runs that filter, learning curves.

Texts from files reach the page through Jinja's escaping and, for the curves, as JSON that cannot end its script
element; only the script of this package may run (its digest is in the page's content security policy).
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources

from markupsafe import Markup

from deit.report.cells import FilledTable, state
from deit.report.contents import Contents
from deit.report.evaluation_page import Shown, templates
from deit.report.folders import Curve, Run
from deit.report.markdown import HOW_TO_READ, other_setting, without_figures
from deit.report.seeds import Estimate, Group
from deit.report.spreadsheets import command
from deit.report.texts import (
    NOTHING,
    count_statuses,
    delta_text,
    heading,
    is_compared,
    method,
    missing_lines,
    ours_text,
    paper_text,
    setting,
    teacher,
)

FIGURES = {
    "test": ("test/acc1", "test top-1 %, of the fused head where there are two"),
    "class": ("test/acc1_class", "test top-1 % of the class head"),
    "distill": ("test/acc1_distill", "test top-1 % of the distillation head"),
    "fused": ("test/acc1_fused", "test top-1 % of both heads, their softmax outputs summed"),
    "val": ("val/acc1", "validation top-1 %, by which the checkpoint was chosen"),
    "teacher": ("teacher/acc1", "the teacher's test top-1 %"),
    "agreement": ("test/agreement", "% of the test images on which student and teacher decide alike"),
    "images/s": ("timing/images_per_s", "in training, validation left out"),
    "inference images/s": ("timing/inference_images_per_s", "of one device in evaluation mode"),
    "parameters": ("parameters", "of the student"),
}
DRAWN = (
    "val/acc1", "val/acc1_class", "val/acc1_distill", "val/acc1_fused", "val/acc1_ema", "val/loss", "val/agreement",
    "train/loss", "train/loss_label", "train/loss_teacher", "train/agreement", "train/lr", "train/images_per_s",
)  # fmt: skip
"""Metrics that have a learning curve on the page."""
MOST_POINTS = 100_000
"""Points of all curves together: 2 MB, so that a page stays under 5."""
CURVE_POINTS = 120
"""Points of one curve: more than one to every eight pixels cannot be seen."""

Cell = dict[str, object]


def page(contents: Contents, evaluated: Sequence[Shown] = ()) -> str:
    """The page, complete in one text."""
    folder = resources.files("deit.report") / "page"
    script = (folder / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = templates().get_template("page.html")
    labelled = zip(contents.groups, contents.labels, strict=True)
    of = {run.path: (group, label) for group, label in labelled for run in group.runs}
    rows = [_run(run, *of[run.path]) for run in contents.runs]
    return template.render(
        style=Markup((folder / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        counts=count_statuses(contents.runs),
        how_to_read=HOW_TO_READ,
        tables=[_paper_table(filled) for filled in contents.tables],
        empty=without_figures(contents.empty),
        plots=[{"title": p.title, "about": p.about, "svg": Markup(p.svg)} for p in contents.plots],
        not_drawn=contents.not_drawn,
        evaluations=[one.values() for one in evaluated],
        facets=_facets(rows),
        columns=[("configuration", "all but the seed"), ("status", ""), ("epoch", "finished, of all"), ("seed", "")]
        + [(name, about) for name, (_, about) in FIGURES.items()],
        runs=rows,
        curves=_curves(contents.runs),
        group_columns=["configuration", "seeds done", *(name for name in FIGURES if name != "parameters")],
        groups=[_group(g, label) for label, g in zip(contents.labels, contents.groups, strict=True)],
        problems=[f"{r.name}: {r.problem or state(r)}" for r in contents.runs if r.problem or r.status != "done"],
        damaged=[f"{one.name}: {one.reason}" for one in contents.damaged],
    )


def _paper_table(filled: FilledTable) -> dict[str, object]:
    table = filled.table
    columns = [{"label": heading(column), "parts": _parts(filled, c)} for c, column in enumerate(table.columns)]
    rows = []
    for r, row in enumerate(table.rows):
        cells: list[Cell] = []
        for c, column in enumerate(table.columns):
            cells.append({"kind": "paper", "text": paper_text(row.cells[c], column), "why": ""})
            if is_compared(filled, c):
                found = filled.cells.get((r, c))
                why = (found.missing or ", ".join(run.name for run in found.runs)) if found else ""
                ours = ours_text(found.estimate if found else None, column.digits)
                kind = "delta" if found is None else "ours missing" if found.missing else "ours"
                cells.append({"kind": kind, "text": ours, "why": why})
                if column.compare:
                    delta = delta_text(filled.delta((r, c)), column.digits)
                    cells.append({"kind": "delta", "text": delta, "why": ""})
        rows.append({"label": row.label, "cells": cells})
    num_missing = len(filled.cells) - filled.num_filled
    return {
        "id": filled.file_name,
        "title": table.title,
        "setting": setting(filled),
        "num_filled": filled.num_filled,
        "num_cells": len(filled.cells),
        "corner": table.corner,
        "columns": columns,
        "rows": rows,
        "source": table.source,
        "other_setting": other_setting(filled),
        "lists": [
            ("Not confirmed", table.unconfirmed, False),
            ("Notes", filled.remarks, True),
            (f"Missing: {num_missing} of {len(filled.cells)}", missing_lines(filled), False),
        ],
    }


def _parts(filled: FilledTable, c: int) -> list[str]:
    column = filled.table.columns[c]
    if not is_compared(filled, c):
        return ["paper"]
    return ["paper", f"ours {column.ours}".strip(), *(["Δ"] if column.compare else [])]


def _run(run: Run, group: Group, label: str) -> dict[str, object]:
    known = group.facts
    facets = {
        "model": known.get("model.name"),
        "distill": method(known),
        "teacher": teacher(known),
        "resolution": known.get("paper_pixels"),
        "seed": run.seed,
        "status": run.status,
        "scale": known.get("scale.name"),
        "data": known.get("data.name"),
    }
    kind = {"done": "done", "failed": "failed"}.get(run.status, "open")
    cells: list[Cell] = [
        {"value": None, "text": label, "kind": "label"},
        {"value": None, "text": run.status, "kind": kind},
        {"value": run.epoch, "text": f"{run.epoch} / {run.config.get('optim.epochs')}", "kind": ""},
        {"value": run.seed, "text": NOTHING if run.seed is None else run.seed, "kind": ""},
        *(_number(name, run.figure(name)) for name, _ in FIGURES.values()),
    ]
    details = [
        ("error", run.error),
        ("could not be read", run.problem),
        ("name", run.config.get("name")),
        ("init", run.config.get("init")),
        ("made with", ", ".join(f"{name} {value}" for name, value in run.environment.items())),
        ("seconds", ", ".join(f"{name} {value:.4g}" for name, value in run.timing.items() if name.endswith("_s"))),
    ]
    return {
        "name": run.name,
        "dry_run": run.dry_run,
        "command": command(run),
        "facets": {name: str(value) for name, value in facets.items()},
        "cells": cells,
        "details": [(title, text) for title, text in details if text],
    }


def _number(name: str, value: float | None) -> Cell:
    if value is None:
        return {"value": None, "text": NOTHING, "kind": ""}
    text = f"{value:,.0f}" if name == "parameters" or name.startswith("timing/") else f"{value:.2f}"
    return {"value": value, "text": text, "kind": ""}


def _facets(rows: Sequence[dict]) -> list[tuple[str, list[str]]]:
    """What runs can be filtered by, and its values; scale and data set where there are several."""
    names = list(rows[0]["facets"]) if rows else []
    found = [(name, sorted({row["facets"][name] for row in rows}, key=_by_number)) for name in names]
    return [(name, values) for name, values in found if len(values) > 1 or name not in ("scale", "data")]


def _by_number(text: str) -> tuple[int, str]:
    return (int(text), "") if text.isdecimal() else (-1, text)


def _group(group: Group, label: str) -> dict[str, object]:
    estimates = [(name, group.estimate(name)) for name, _ in FIGURES.values() if name != "parameters"]
    seeds = {"value": len(group.done), "text": f"{len(group.done)} of {len({run.seed for run in group.runs})}"}
    return {"label": label, "cells": [seeds, *(_estimate(name, estimate) for name, estimate in estimates)]}


def _estimate(name: str, estimate: Estimate | None) -> Cell:
    digits = 0 if name.startswith("timing/") else 2
    return {"value": estimate.mean if estimate else None, "text": ours_text(estimate, digits)}


def _curves(runs: Sequence[Run]) -> Mapping[str, object]:
    """The learning curves as the script draws them: [epoch, value] a point, few enough for the page."""
    most = max(10, min(CURVE_POINTS, MOST_POINTS // max(1, len(runs) * len(DRAWN))))
    drawn = [{m: thinned(run.curves[m], most) for m in DRAWN if len(run.curves.get(m, ())) > 1} for run in runs]
    return {
        "metrics": [metric for metric in DRAWN if any(metric in curves for curves in drawn)],
        "runs": [{"name": run.name, "curves": curves} for run, curves in zip(runs, drawn, strict=True)],
    }


def thinned(curve: Curve, most: int) -> list[tuple[float, float]]:
    """At most ``most`` points of a curve at even distances, the first and the last among them, to five digits."""
    last = len(curve) - 1
    count = min(len(curve), most)
    chosen = dict.fromkeys(round(i * last / max(1, count - 1)) for i in range(count))
    return [(float(f"{curve[i][0]:g}"), float(f"{curve[i][1]:.5g}")) for i in chosen]
