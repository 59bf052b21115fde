"""Puts a sweep's dashboard where its runs are at Weights & Biases."""

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass

from deit.config.errors import ConfigError, RunError
from deit.config.ledger import sweep_of
from deit.report.contents import Contents


@dataclass(frozen=True)
class Place:
    """Where the runs of sweeps are."""

    project: str
    entity: str | None
    """None: the key's own."""
    sweeps: Sequence[str]
    """Their names, which are their groups there."""


def find_place(contents: Contents) -> Place:
    """Where the runs of a report are, once all that an upload needs is there.

    Raises:
        ConfigError: without key or package, and where the runs are of no sweep, or not of one project.
    """
    logged = [run for run in contents.runs if run.config.get("logger.wandb.enabled") is True and sweep_of(run.path)]
    sweeps = list(dict.fromkeys(str(sweep_of(run.path)) for run in logged))
    keys = ("logger.wandb.entity", "logger.wandb.project")
    places = list(dict.fromkeys(tuple(run.config.get(key) for key in keys) for run in logged))
    problems = _missing()
    if not sweeps:
        problems.append(
            "wandb=true shows sweeps that were logged there, and there is none in these folders;"
            " pass the folder of a sweep that was started with logger=wandb"
        )
    if len(places) > 1:
        named = ", ".join("/".join(str(part) for part in place if part is not None) for place in places)
        problems.append(f"wandb=true shows runs of one project, and these are of {named}; pass the sweeps of one")
    if problems:
        raise ConfigError.of(problems)
    ((entity, project),) = places
    return Place(str(project), None if entity is None else str(entity), sweeps)


def _missing() -> list[str]:
    os.environ.setdefault("WANDB_SILENT", "true")  # it would ask the network for a name to greet
    import wandb

    problems = []
    if importlib.util.find_spec("wandb_workspaces") is None:
        problems.append("wandb=true needs the package wandb-workspaces; type pip install wandb-workspaces")
    try:
        if not wandb.login(prompt=False, verify=False):
            problems.append("wandb=true needs a key; type wandb login, or set WANDB_API_KEY=<key>")
    except Exception as error:  # the key cannot be one
        problems.append(f"wandb=true: {error}")
    return problems


def save(contents: Contents, place: Place) -> str:
    """Make a view of the project that shows the dashboard; its address.

    Raises:
        RunError: if the service does not take it.
    """
    import wandb

    from deit.report.dashboard import dashboard

    try:
        entity = place.entity or str(wandb.Api().default_entity)
        view = dashboard(contents, entity=entity, project=place.project, sweeps=place.sweeps).save()
        return str(view.url)
    except Exception as error:  # of several libraries, which share no class of errors
        raise RunError(f"wandb did not take the dashboard: {type(error).__name__}: {error}") from None
