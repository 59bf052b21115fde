"""The study's figures as SVG: differences with their intervals, students against teachers, who decides as whom."""

from collections.abc import Callable, Iterator, Sequence

from deit.report.drawing import Line, Panel, draw, draw_differences, draw_matrices
from deit.report.seeds import Estimate
from deit.study.claims import BY_CONVNETS, BY_DEIT, CLAIMS
from deit.study.settings import CLASS, DISTILL, FUSED, TEACHER, Seed, Setting
from deit.study.tables import Differences

LABEL = "label"
DECIDERS = {
    "labels": ("token", LABEL),
    "convnet": ("token", TEACHER),
    "alone": ("none", CLASS),
    "class head": ("token", CLASS),
    "distillation head": ("token", DISTILL),
    "both heads": ("token", FUSED),
}
"""Who decides: a cell, and a column of the predictions of its run. The convnet is the teacher."""


def figures(settings: Sequence[Setting], found: Differences) -> Iterator[tuple[str, str]]:
    """Name and SVG of each figure that the settings have runs for."""
    series = {setting.title: [found[claim.name][i] for claim in CLAIMS] for i, setting in enumerate(settings)}
    estimates = {title: [one if isinstance(one, Estimate) else None for one in ones] for title, ones in series.items()}
    yield "claims", draw_differences([claim.name for claim in CLAIMS], estimates, x="percent points", salt="claims")
    if panels := [panel for setting in settings if len((panel := _teachers(setting)).lines) > 1]:
        yield "teachers", draw(panels, salt="teachers")[1]
    matrices = {setting.title: _disagreement(setting) for setting in settings}
    if any(value is not None for rows in matrices.values() for row in rows for value in row):
        yield "disagreement", draw_matrices(list(DECIDERS), matrices, salt="disagreement")[1]


def _teachers(setting: Setting) -> Panel:
    """The accuracy of students against that of the convnets and of the transformer that taught them."""
    panel = Panel(x="teacher, test top-1 %", y="student, test top-1 %", title=setting.title, diagonal=True)
    for name, cells in (("convnets", BY_CONVNETS), ("a transformer", (BY_DEIT,))):
        line = Line(name)
        for cell in cells:
            taught = setting.over_seeds(lambda of, c=cell: of(c))
            teacher = setting.over_seeds(lambda of, c=cell: of.teacher(c))
            if isinstance(taught, Estimate) and isinstance(teacher, Estimate):
                line.add(teacher.mean, taught)
        if line.points:
            panel.lines.append(line)
    return panel


def _disagreement(setting: Setting) -> list[list[float | None]]:
    """The share of the test images for which two decide differently, in the order of `DECIDERS`."""
    return [
        [0.0 if one == other else _mean(setting, _differs(*one, *other)) for other in DECIDERS.values()]
        for one in DECIDERS.values()
    ]


def _differs(cell: str, one: str, other_cell: str, other: str) -> Callable[[Seed], float]:
    return lambda of: 1 - of.agreement(cell, one, other_cell, other) / 100


def _mean(setting: Setting, figure: Callable[[Seed], float]) -> float | None:
    found = setting.over_seeds(figure)
    return found.mean if isinstance(found, Estimate) else None
