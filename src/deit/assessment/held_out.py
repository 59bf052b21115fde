"""Check whether images to measure on are those that a run was trained on: then its own held-out split is measured."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from deit.assessment.subjects import HELD_OUT, Subject, refuse_other_images
from deit.config import layout
from deit.config.errors import ConfigError
from deit.config.material import OF_ONES_OWN, Data, DataKind
from deit.data.sources import Split, open_dataset

SPLITTING = ("seed", "test_fraction", "val_fraction", "own_val")
"""Settings of the data that draw a split."""
NAMED = 3  # images that a message lists


def trained_on(subjects: Sequence[Subject], data: Data) -> list[Subject]:
    """Return the runs among ``subjects`` whose own data ``data`` names."""
    return [one for one in subjects if one.trained.config is not None and _is_same(one.trained.config.data, data)]


def with_own_split(data: Data, runs: Sequence[Subject], typed: Sequence[str]) -> Data:
    """Return ``data`` split as the ``runs`` that were trained on it split it.

    Args:
        data: Settings of the data to measure on.
        runs: What `trained_on` found.
        typed: Keys of the overrides.

    Raises:
        ConfigError: If a typed setting draws another split, or the runs held out other images.
    """
    if not runs:
        return data
    refuse_other_images(runs)
    config = runs[0].trained.config
    assert config is not None, "a run has its configuration"
    own = {key: getattr(config.data, key) for key in SPLITTING}
    problems = [
        f"data.{key} must be {_shown(own[key])}, as {runs[0].source} was trained, because another split has images that"
        f" it was trained on, got {_shown(getattr(data, key))}. Leave data.{key} out."
        for key in SPLITTING
        if f"data.{key}" in typed and getattr(data, key) != own[key]
    ]
    if problems:
        raise ConfigError.of(problems)
    return replace(data, **own)


def refuse_unrecorded_split(runs: Sequence[Subject], splits: Sequence[Split]) -> None:
    """Refuse runs of releases that drew splits by position: what is held out now are images that they were trained on.

    Args:
        runs: What `trained_on` found.
        splits: The images to measure on.

    Raises:
        ConfigError: If a split is drawn by name, and a run does not record its images.
    """
    old = ", ".join(one.source for one in runs if one.trained.data is None)
    if old and any(len(one) < len(one.source) and one.source.names() is not None for one in splits):
        raise ConfigError(
            f"checkpoint must record which images it held out, because its own data are measured, got {old} of an"
            " earlier release, which divided them otherwise. Read the test accuracy in its run.json, or pass"
            " data.root=<folder of new images>."
        )


def are_new(data: Data, runs: Sequence[Subject]) -> bool:
    """Return True if ``data`` are images of the user's own that none of the networks was trained on."""
    return not runs and data.kind in OF_ONES_OWN


def refuse_split_settings(typed: Sequence[str]) -> None:
    """Raise ConfigError for settings of a split that is not drawn, because all images are new."""
    if problems := [
        f"data.{key} must be left out, because all of the images are new to the network and nothing is split off."
        for key in SPLITTING
        if f"data.{key}" in typed
    ]:
        raise ConfigError.of(problems)


def refuse_trained_images(subjects: Sequence[Subject], split: Split) -> None:
    """Refuse images that one of the runs was trained on, under whatever path they are named.

    Raises:
        ConfigError: With some of the images.
    """
    asked = {os.path.realpath(split.source.describe(int(index))) for index in split.indices}
    for one in subjects:
        config = one.trained.config
        if config is None or config.data.kind is not DataKind.folder or not _may_hold(config.data, asked):
            continue
        train = open_dataset(config.data).train
        learnt = asked & {os.path.realpath(train.source.describe(int(index))) for index in train.indices}
        if learnt:
            named = ", ".join(sorted(learnt)[:NAMED]) + (" and others" if len(learnt) > NAMED else "")
            raise ConfigError(
                f"data.root must hold images that {one.source} was not trained on, got {len(learnt):,} of"
                f" {len(asked):,} that it was ({named}). Leave data out to measure its own test split, or pass"
                " data.root=<folder of new images>."
            )


def _may_hold(own: Data, files: set[str]) -> bool:
    """Return True if any of ``files`` lies in a folder of the data ``own``."""
    if own.root is None or not Path(own.root).is_dir():
        return False
    folders = tuple(dict.fromkeys(os.path.join(os.path.realpath(one), "") for one in _folders(Path(own.root))))  # noqa: PTH118 - a trailing slash
    return any(file.startswith(folders) for file in files)


def _folders(root: Path) -> Iterator[Path]:
    """Yield ``root`` and the folders of its splits and classes, any of which may be a link to elsewhere."""
    yield root
    for below in layout.class_folders(root):
        yield below
        yield from layout.class_folders(below)


def _is_same(own: Data, data: Data) -> bool:
    if own.kind is not data.kind:
        return False
    if own.kind is DataKind.folder:
        return _is_same_place(own.root, data.root)
    return own.kind is not DataKind.hf or own.path == data.path or _is_same_place(own.path, data.path)


def _is_same_place(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and os.path.realpath(one) == os.path.realpath(other)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


assert set(SPLITTING) < set(HELD_OUT)
