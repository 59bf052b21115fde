"""ReaL and V2 in the paper's tables: what src/evaluate.py measured of a run counts as a figure of the run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deit.report.evaluations import Evaluation
from deit.report.folders import Run

FIGURES = {"real": "real/acc1", "v2-matched-frequency": "v2/acc1"}
"""By set; the paper's V2 is the variant of matched frequency (Table 5)."""
CHOSEN = ("checkpoints", "best.ckpt")
"""Of a run's checkpoints, the one that is the run."""


def with_relatives(runs: Sequence[Run], evaluations: Sequence[Evaluation]) -> list[Run]:
    """``runs`` with the accuracies of their deciding heads; of several evaluations of a run the latest counts."""
    whole = sorted((one for one in evaluations if not one.limited), key=lambda one: one.date)
    return [replace(run, metrics={**run.metrics, **_figures(run, whole)}) for run in runs]


def _figures(run: Run, evaluations: Sequence[Evaluation]) -> dict[str, float]:
    found: dict[str, float] = {}
    for evaluation in evaluations:
        mine = [n for n, network in enumerate(evaluation.networks) if _is_of(network.checkpoint, evaluation, run)]
        for images in evaluation.sets if mine else ():
            if images.name in FIGURES:
                answer = evaluation.networks[mine[0]].answer  # of raw and averaged weights the run's own are first
                found[FIGURES[images.name]] = images.results[mine[0]].heads[answer].acc1
    return found


def _is_of(checkpoint: str, evaluation: Evaluation, run: Run) -> bool:
    place = Path(checkpoint)
    if place.parts[-2:] == CHOSEN:
        place = place.parents[1]
    moved_with_it = evaluation.path.resolve().parent == run.path and place.name == run.path.name
    return moved_with_it or place.resolve() == run.path
