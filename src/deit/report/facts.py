"""What a run is, in terms that hold at every scale: its configuration, and what follows from it.

Beside the dotted keys of config.yaml a run has the derived facts of `DERIVED`, and every key of the run that it was
fine-tuned from under ``pretraining.``; a run that started from fresh weights is its own pretraining.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from deit.config.execution import PAPER_EPOCHS
from deit.report.folders import Run

PRETRAINING = "pretraining."

DERIVED = {
    "paper_pixels": "side of the student's images in the paper's pixels: 224 at nano scale are 28 real ones",
    "paper_epochs": "length of the pretraining in the paper's epochs: 300 are as many as the scale has",
    "finetuned": "whether the run started from trained weights (init)",
    "teacher_net": "the teacher's name at timm without the tag of its weights",
}

Facts = Mapping[str, object]


def all_facts(runs: Sequence[Run]) -> list[Facts]:
    """The facts of each run; origins are sought among ``runs`` alone."""
    return [facts(run, runs) for run in runs]


def facts(run: Run, runs: Sequence[Run]) -> Facts:
    """Everything that can be asked of ``run``."""
    known: dict[str, object] = dict(run.config)
    known["paper_pixels"] = paper_pixels(run)
    known["finetuned"] = run.config.get("init") is not None
    known["teacher_net"] = str(run.config.get("teacher.name", "")).partition(".")[0]
    first = pretraining(run, runs)
    # Weights from elsewhere are taken for published ones: all that are fine-tuned at 224 pixels had 300 epochs.
    known["paper_epochs"] = PAPER_EPOCHS if first is None else paper_epochs(first)
    if first is not None:
        known |= {f"{PRETRAINING}{key}": value for key, value in first.config.items()}
    return known


def paper_pixels(run: Run) -> int | None:
    """Side of the student's images at paper scale, as `Config.image_size` has it times ``scale.shrink``."""
    own, paper, standard, shrink = (
        _whole(run.config.get(key))
        for key in ("resolution.pixels", "resolution.paper_pixels", "scale.image_size", "scale.shrink")
    )
    if shrink is None:
        return None
    if own is not None:
        return own * shrink
    if paper is not None:
        return paper
    return None if standard is None else standard * shrink


def paper_epochs(run: Run) -> int | None:
    """Epochs over the scale's, times the paper's 300. The paper has none shorter, so shorter ones count as 300."""
    epochs, whole = _whole(run.config.get("optim.epochs")), _whole(run.config.get("scale.epochs"))
    if epochs is None or not whole:
        return None
    return max(PAPER_EPOCHS, round(PAPER_EPOCHS * epochs / whole))


def is_shortened(run: Run) -> bool:
    """Whether a run from fresh weights had fewer epochs than its scale provides."""
    epochs, whole = _whole(run.config.get("optim.epochs")), _whole(run.config.get("scale.epochs"))
    return run.config.get("init") is None and epochs is not None and whole is not None and epochs < whole


def pretraining(run: Run, runs: Sequence[Run]) -> Run | None:
    """The run whose fresh weights ``run`` goes back to; None if it is not among ``runs``."""
    seen = [run.path]
    current: Run | None = run
    while current is not None and current.config.get("init") is not None:
        current = origin(str(current.config["init"]), runs)
        if current is None or current.path in seen:
            return None
        seen.append(current.path)
    return current


def origin(checkpoint: str, runs: Sequence[Run]) -> Run | None:
    """The run that ``<run>/checkpoints/<file>`` belongs to: the one whose folder ends most like it.

    Folders move, from a cluster to a laptop for one; the last two names, a sweep's and a job's, must be the same.
    """
    wanted = PurePath(checkpoint).parent.parent.parts
    alike = [(_common_end(wanted, run.path.parts), run) for run in runs]
    longest = max((length for length, _ in alike), default=0)
    found = [run for length, run in alike if length == longest]
    return found[0] if len(found) == 1 and longest >= max(1, min(2, len(wanted))) else None


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    length = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        length += 1
    return length


def meets(known: Facts, conditions: Mapping[str, object]) -> bool:
    """Whether facts are as ``conditions`` want them: a value, one of a list, or anything but ``{not: value}``."""
    return not unmet(known, conditions)


def unmet(known: Facts, conditions: Mapping[str, object]) -> list[str]:
    """The keys whose values are other than wanted."""
    return [key for key, wanted in conditions.items() if key not in known or not _as_wanted(known[key], wanted)]


def as_typed(value: object) -> str:
    """``value`` as one types it on the command line."""
    if value is None or isinstance(value, bool):
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _as_wanted(value: object, wanted: object) -> bool:
    if isinstance(wanted, Mapping):
        return "not" in wanted and not _equal(value, wanted["not"])
    if isinstance(wanted, list):
        return any(_equal(value, one) for one in wanted)
    return _equal(value, wanted)


def _equal(value: object, wanted: object) -> bool:
    """Equality in which true is not 1."""
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
