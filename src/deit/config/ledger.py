"""What the folder of a sweep says: which jobs are done, what is left, whether it still is the same grid.

Each job's configuration is frozen in the folder as it was checked. A sweep that is started again there must ask for the
same jobs; more of them may follow at the end.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TextIO

import yaml

from deit.config import drafts, sealed
from deit.config.compose import computed
from deit.config.errors import ConfigError
from deit.config.holding import held

FROZEN = ".preflight"  # folder in a sweep's: each job's configuration as it was checked
RECORD = "run.json"
MOST_FROZEN = 100_000  # jobs of a sweep; a file with a larger number is none of ours
MOST_KEYS = 5  # that are named of one job
MOST_JOBS = 20  # that are named of a grid


class State(Enum):
    """What is to be done for a job."""

    done = "done"
    resume = "to resume"
    """It was cut off, or is at work in a process that nobody knows of here."""
    retry = "to retry"
    start = "to start"


_STATES = {"done": State.done, "running": State.resume, "preempted": State.resume, "failed": State.retry}


def record(folder: Path) -> dict[str, object]:
    """run.json of ``folder``; empty where there is none, or none that can be read and is what was written."""
    file = folder / RECORD
    try:
        return sealed.parse_record(file.read_text(encoding="utf-8"), file)
    except (OSError, ValueError, RecursionError):
        return {}


def state(folder: Path, *, resume: str) -> State:
    """Return what is to be done for the job in ``folder``: all of it with ``resume=never``."""
    return State.start if resume == "never" else _STATES.get(str(record(folder).get("status")), State.start)


def counted(states: Sequence[State]) -> str:
    """``6 jobs: 3 done, 1 to resume, 2 to start``."""
    counts = Counter(states)
    parts = [f"{counts[one]} {one.value}" for one in State if counts[one]]
    return f"{len(states)} job{'s' * (len(states) != 1)}: {', '.join(parts)}"


def varied(jobs: Sequence[Sequence[str]]) -> list[str]:
    """The overrides of each job that not all jobs have."""
    shared = set(jobs[0]).intersection(*jobs[1:]) if len(jobs) > 1 else set()
    return [" ".join(override for override in job if override not in shared) for job in jobs]


def frozen_file(sweep: Path, number: int | str) -> Path:
    """Where the configuration of a job is kept as it was checked."""
    return sweep / FROZEN / f"{number}.yaml"


def sweep_of(run: Path) -> str | None:
    """The name of the sweep that the run in a folder is a job of; None if of none."""
    sweep = run.absolute().parent
    return sweep.name if frozen_file(sweep, run.name).is_file() else None


def freeze(sweep: Path, jobs: Sequence[str]) -> None:
    """Keep the configuration of each job, as YAML, in the folder ``sweep``; those that it has stay as they are."""
    (sweep / FROZEN).mkdir(parents=True, exist_ok=True)
    for folder in (sweep, sweep / FROZEN):
        drafts.remove_abandoned(folder)
    for number, text in enumerate(jobs):
        sealed.write_text(frozen_file(sweep, number), text)


def frozen(sweep: Path) -> list[str | None]:
    """Return the configurations that were kept, in the order of the jobs; None for one that is missing or corrupt."""
    numbers = [int(file.stem) for file in (sweep / FROZEN).glob("*.yaml") if file.stem.isdecimal()]
    last = max((number for number in numbers if number < MOST_FROZEN), default=-1)
    return [kept_text(frozen_file(sweep, number)) for number in range(last + 1)]


def kept_text(file: Path) -> str | None:
    """Return a configuration as it was kept; None if it is missing or corrupt."""
    try:
        text = sealed.read_text(file)
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # safe, and ten times faster
        return text if isinstance(content, dict) else None
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None


def lost(sweep: Path) -> list[str]:
    """Return a note for each job whose configuration was kept and is missing or corrupt; `freeze` keeps it anew."""
    return [
        f"{frozen_file(sweep, number)} is missing or damaged: job #{number} is taken to be the one that is asked for,"
        " and its configuration is kept anew"
        for number, text in enumerate(frozen(sweep))
        if text is None
    ]


def refuse_another_grid(sweep: Path, now: Sequence[str], overrides: Sequence[Sequence[str]] = ()) -> int:
    """Compare what is asked for with what the folder was started with.

    Args:
        sweep: Its folder.
        now: The configuration of each job, as YAML.
        overrides: Those of each job. They are compared with the record of a run whose configuration is missing or
            corrupt.

    Returns:
        How many jobs there are more than then, or 0 in a new folder.

    Raises:
        ConfigError: with the difference, if a job is another one or is gone.
    """
    was = frozen(sweep)
    begun = {number: record(sweep / str(number)).get("overrides") for number, text in enumerate(was) if text is None}
    if changes := [*_changes(was, now), *_begun_otherwise(begun, overrides)]:
        left_out = [f"and {len(changes) - MOST_JOBS} more"] if len(changes) > MOST_JOBS else []
        lines = "\n".join([*changes[:MOST_JOBS], *left_out])
        raise ConfigError(
            f"{sweep} was started with another grid; {len(changes)} of its {len(was)} jobs changed, nothing was"
            f" started:\n{lines}\npass the settings that it was started with (more jobs may follow at the end), or"
            " another hydra.sweep.dir=<folder>"
        )
    return len(now) - len(was) if was else 0


def _changes(was: Sequence[str | None], now: Sequence[str]) -> Iterator[str]:
    for number, text in enumerate(was):
        if number >= len(now):
            first, apart = was[0] if number else None, ""
            if first is not None and text is not None:
                apart = _shortened(difference(first, text, arrow="{key}={now}"))
            yield f"#{number} is not asked for any more{f' ({apart})' if apart else ''}"
        elif text is not None and (found := difference(text, now[number])):
            yield f"#{number} {_shortened(found)}"


def _begun_otherwise(begun: Mapping[int, object], now: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the jobs that have begun with other overrides than those that are asked for ``now``."""
    for number, was in begun.items():
        if isinstance(was, list) and number < len(now) and set(map(str, was)) != set(now[number]):
            before, after = set(map(str, was)), set(now[number])
            gone, new = (" ".join(sorted(one)) for one in (before - after, after - before))
            yield f"#{number} {gone or '(nothing)'} -> {new or '(nothing)'}"


def _shortened(found: Sequence[str]) -> str:
    left_out = [f"and {len(found) - MOST_KEYS} more"] if len(found) > MOST_KEYS else []
    return ", ".join([*found[:MOST_KEYS], *left_out])


def difference(was: str, now: str, *, arrow: str = "{key}: {was} -> {now}") -> list[str]:
    """``key: then -> now`` for each setting that makes two configurations, as YAML, compute different things."""
    if was == now:
        return []
    try:
        before, after = (yaml.safe_load(text) for text in (was, now))
        return differing(before, after, arrow=arrow)
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, RecursionError):
        return [f"what was kept of it below {FROZEN} is damaged"]


def differing(
    was: dict, now: dict, *, arrow: str = "{key}: {was} -> {now}", except_for: Collection[str] = ()
) -> list[str]:
    """Compare two configurations as plain data, as `difference` does; except_for: keys that may differ."""
    before, after = (dict(_leaves(computed(values))) for values in (was, now))
    keys = dict.fromkeys([*before, *after])
    return [
        arrow.format(key=key, was=_typed(before, key), now=_typed(after, key))
        for key in keys
        if key not in except_for
        if before.get(key) != after.get(key) or (key in before) != (key in after)
    ]


def _typed(values: dict[str, object], key: str) -> str:
    if key not in values:
        return "(no such key)"
    value = values[key]
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _leaves(node: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def hold(sweep: Path) -> TextIO:
    """Take the folder for this process until the file that is returned is closed, or the process ends.

    Raises:
        ConfigError: if another process is at work on the same sweep.
    """
    return held(sweep / FROZEN / "lock", what=f"on {sweep}", another="hydra.sweep.dir=<folder>")
