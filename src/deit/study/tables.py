"""The study's tables as Markdown: claims with their verdicts, accuracies, what the runs cost."""

from collections.abc import Mapping, Sequence

from deit.report.markdown import grid
from deit.report.seeds import Estimate
from deit.report.texts import NOTHING, ours_text, signed
from deit.study.claims import BY_CONVNETS, BY_DEIT, CLAIMS, Claim, Verdict, verdict
from deit.study.settings import CLASS, DISTILL, FUSED, Setting

Differences = Mapping[str, Sequence[Estimate | str]]
"""By the name of the claim: its difference in each setting, or why there is none."""

MARKS = {Verdict.confirmed: "✔", Verdict.open: "○", Verdict.opposite: "✘"}
HEADS = {"class head": CLASS, "distillation head": DISTILL, "both heads": FUSED}


def differences(settings: Sequence[Setting]) -> Differences:
    """Every claim in every setting."""
    return {claim.name: [setting.over_seeds(claim.difference) for setting in settings] for claim in CLAIMS}


def claims_table(settings: Sequence[Setting], found: Differences) -> str:
    """A row a claim: the paper's difference; the difference, its interval and the verdict of each setting."""
    rows = [
        [f"{claim.text} ({claim.source})", paper_text(claim), *map(_with_verdict, found[claim.name])]
        for claim in CLAIMS
    ]
    return _table("claim, percent points", ["paper"], settings, rows)


def verdicts_table(settings: Sequence[Setting], found: Differences) -> str:
    """A row a headline: the verdict's mark and the difference."""
    headlines = [claim for claim in CLAIMS if claim.headline]
    rows = [[claim.text, paper_text(claim), *map(_marked, found[claim.name])] for claim in headlines]
    return _table("claim, percent points", ["paper"], settings, rows)


def accuracies_table(settings: Sequence[Setting]) -> str:
    """A row a cell and head, then a row a teacher: accuracy on the test split."""
    cells = list(dict.fromkeys(cell for setting in settings for cell in setting.cells))
    rows = []
    for cell in cells:
        for label, head in HEADS.items() if cell.startswith("token") else [("", None)]:
            values = [setting.over_seeds(lambda of, c=cell, h=head: of(c, h)) for setting in settings]
            rows.append([f"[{cell}] {label}", *map(_accuracy, values)])
    for cell in ("token", *BY_CONVNETS[:-1], BY_DEIT):  # that of [token] taught all cells that name no teacher
        values = [setting.over_seeds(lambda of, c=cell: of.teacher(c)) for setting in settings]
        rows.append([f"teacher of [{cell}]", *map(_accuracy, values)])
    return _table("test top-1 %", [], settings, rows)


def costs_table(settings: Sequence[Setting]) -> str:
    """Runs, seeds, and hours of training on one core."""
    rows = [
        ["runs", *(str(len(setting.runs)) for setting in settings)],
        ["seeds", *(str(len(setting.seeds)) for setting in settings)],
        ["hours of training, one core", *(f"{_hours(setting):.1f}" for setting in settings)],
    ]
    return _table("", [], settings, rows)


def _hours(setting: Setting) -> float:
    return sum(run.figure("timing/fit_s") or 0.0 for run in setting.runs) / 3600


def _table(corner: str, more: Sequence[str], settings: Sequence[Setting], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(grid([corner, *more, *(setting.title for setting in settings)], rows))


def paper_text(claim: Claim) -> str:
    """``Ti +2.1, B +1.2``."""
    return ", ".join(f"{model} {_points(one - other)}" for model, (one, other) in claim.paper.items())


def difference_text(difference: Estimate) -> str:
    """``+2.1 ± 0.4``; without an interval for a single seed."""
    mean = _points(difference.mean)
    return mean if difference.half_width is None else f"{mean} ± {difference.half_width:.1f}"


def _points(difference: float) -> str:
    return signed(f"{round(difference, 1) + 0.0:+.1f}")  # a sum that is never -0.0


def _with_verdict(found: Estimate | str) -> str:
    return NOTHING if isinstance(found, str) else f"{difference_text(found)} {verdict(found).value}"


def _marked(found: Estimate | str) -> str:
    return NOTHING if isinstance(found, str) else f"{MARKS[verdict(found)]} {_points(found.mean)}"


def _accuracy(found: Estimate | str) -> str:
    if isinstance(found, str):
        return NOTHING
    return f"{found.mean:.1f}" if found.half_width == 0 else ours_text(found, 1)  # all seeds have one teacher
