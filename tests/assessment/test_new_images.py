"""Which images an evaluation measures: all of a new folder, the held-out split of a run's own."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_subjects import a_file, a_run

from deit.assessment.request import read, settings
from deit.assessment.sets import ImageSet
from deit.assessment.subjects import Subject, own_config, read_subjects
from deit.assessment.work import open_measured
from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.data.sources import open_dataset

CLASSES = ("blue", "green", "red")


def photos(root: Path, classes: Sequence[str] = CLASSES, number: int = 10) -> Path:
    """A folder per class with pictures of its own."""
    for name in classes:
        (root / name).mkdir(parents=True, exist_ok=True)
        for position in range(number):
            Image.new("RGB", (8, 8), (position, 0, 0)).save(root / name / f"{position}.png")
    return root


@pytest.fixture
def measured(config: Callable[..., Config], tmp_path: Path) -> Callable[..., ImageSet]:
    """Open what an evaluation of a run on ``tmp_path/photos`` measures, given its overrides."""
    photos(tmp_path / "photos")
    own = config("scale.depth=1", "data=folder", f"data.root={tmp_path}/photos", "data.seed=3")
    run = a_run(tmp_path / "run", own, CLASSES)

    def opened(*typed: str, sets: str = "test", checkpoint: str = run) -> ImageSet:
        subjects: list[Subject] = read_subjects([checkpoint])
        chosen = settings(config(*typed), typed, own_config(subjects))
        keys = [override.partition("=")[0] for override in typed]
        (found,) = open_measured(read([f"checkpoint={checkpoint}", f"sets={sets}"]), chosen, subjects, keys)[1]
        return found

    return opened


def names(images: ImageSet) -> list[str]:
    """The class of each image as its label says, with its file's name."""
    files = [images.split.source.describe(int(index)) for index in images.split.indices]
    labels = images.split.labels.tolist()
    return [f"{images.classes[label]}/{Path(file).name}" for label, file in zip(labels, files, strict=True)]


def test_all_images_of_a_new_folder_are_measured(measured: Callable[..., ImageSet], tmp_path: Path) -> None:
    photos(tmp_path / "new")
    found = measured("data=folder", f"data.root={tmp_path}/new")
    assert sorted(names(found)) == sorted(f"{name}/{i}.png" for name in CLASSES for i in range(10))
    assert found.origin == f"all of {tmp_path}/new"
    assert len(measured(f"data.root={tmp_path}/new").split) == 30, "data=folder is the run's own kind"


@pytest.mark.parametrize("beside", [(), ("train",), ("train", "val")])
def test_the_test_folder_alone_is_measured(
    measured: Callable[..., ImageSet], tmp_path: Path, beside: tuple[str, ...]
) -> None:
    for split in ("test", *beside):
        photos(tmp_path / "new" / split, number=4 if split == "test" else 7)
    found = measured("data=folder", f"data.root={tmp_path}/new")
    assert (len(found.split), found.origin) == (12, f"all of {tmp_path}/new/test")


def test_val_is_measured_where_it_is_asked_for(measured: Callable[..., ImageSet], tmp_path: Path) -> None:
    photos(tmp_path / "new/val", number=4)
    assert len(measured("data=folder", f"data.root={tmp_path}/new", sets="val").split) == 12
    assert len(measured("data=folder", f"data.root={tmp_path}/new").split) == 12
    photos(tmp_path / "bare")
    with pytest.raises(ConfigError, match=r"sets=val must name a split of the data, and .*bare has no val/"):
        measured("data=folder", f"data.root={tmp_path}/bare", sets="val")


@pytest.mark.parametrize("some", [("red", "green"), ("red",)])
def test_labels_go_by_the_names_of_some_classes(
    measured: Callable[..., ImageSet], tmp_path: Path, some: tuple[str, ...]
) -> None:
    photos(tmp_path / "new", some)
    (tmp_path / "new/blue").mkdir()  # of which there is none
    found = measured("data=folder", f"data.root={tmp_path}/new")
    assert sorted(names(found)) == sorted(f"{name}/{i}.png" for name in some for i in range(10))
    assert np.unique(found.split.labels).tolist() == sorted(CLASSES.index(name) for name in some)


def test_a_class_may_be_called_like_a_split(config: Callable[..., Config], tmp_path: Path) -> None:
    own = config("scale.depth=1", "data=folder", f"data.root={photos(tmp_path / 'photos', ('other', 'test'))}")
    subjects = read_subjects([a_run(tmp_path / "run", own, ("other", "test"))])

    def opened(root: Path) -> list[str]:
        typed = ("data=folder", f"data.root={root}")
        chosen = settings(config(*typed), typed, own_config(subjects))
        (found,) = open_measured(read(["checkpoint=a"]), chosen, subjects, ("data", "data.root"))[1]
        return names(found)

    assert len(opened(photos(tmp_path / "new", ("other", "test")))) == 20
    assert len(opened(photos(tmp_path / "alone", ("test",)))) == 10
    photos(tmp_path / "split/test", ("other", "test"))
    assert sorted(opened(tmp_path / "split"))[-1] == "test/9.png"
    photos(tmp_path / "split", ("other",))
    with pytest.raises(ConfigError, match="must hold splits or classes, got test beside other"):
        opened(tmp_path / "split")


def test_what_has_no_known_class_is_refused(measured: Callable[..., ImageSet], tmp_path: Path) -> None:
    photos(tmp_path / "new", ("blu", "red"))
    with pytest.raises(ConfigError, match=r"must have classes that .*run knows \(blue, .*got blu \(did you"):
        measured("data=folder", f"data.root={tmp_path}/new")
    (tmp_path / "loose").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "loose/a.png")
    with pytest.raises(ConfigError, match=r"must hold a folder per class.*src/predict\.py"):
        measured("data=folder", f"data.root={tmp_path}/loose")
    (tmp_path / "empty/red").mkdir(parents=True)
    with pytest.raises(ConfigError, match="must have images in folders named after their classes, got none"):
        measured("data=folder", f"data.root={tmp_path}/empty")


def test_of_its_own_folder_a_run_is_measured_on_what_it_held_out(
    measured: Callable[..., ImageSet], config: Callable[..., Config], tmp_path: Path
) -> None:
    own = names(measured())
    held = open_dataset(config("data=folder", f"data.root={tmp_path}/photos", "data.seed=3").data).test
    files = [Path(held.source.describe(int(index))) for index in held.indices]
    assert own == [f"{file.parent.name}/{file.name}" for file in files]
    assert 0 < len(own) < 30
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    for root in ("photos", "photos/", "link"):
        found = measured("data=folder", f"data.root={tmp_path}/{root}")
        assert names(found) == own, "data.seed is the run's though data=folder says another"
        assert found.origin == f"the test split of {tmp_path}/run's own data"
    with pytest.raises(ConfigError, match=r"data\.seed must be 3, as .*run was trained.*got 1\. Leave data\.seed out"):
        measured("data=folder", f"data.root={tmp_path}/photos", "data.seed=1")
    with pytest.raises(ConfigError, match=r"data\.test_fraction must be 0\.2"):
        measured("data.test_fraction=0.5")


def test_a_run_that_does_not_record_its_images_is_not_measured_on_a_split_drawn_anew(
    measured: Callable[..., ImageSet], config: Callable[..., Config], tmp_path: Path
) -> None:
    own = config("scale.depth=1", "data=folder", f"data.root={tmp_path}/photos", "data.seed=3")
    old = a_run(tmp_path / "old", own, CLASSES, data=None)
    with pytest.raises(ConfigError, match=r"must record which images it held out.*old of an earlier release"):
        measured(checkpoint=old)
    assert len(measured("data=folder", f"data.root={photos(tmp_path / 'new')}", checkpoint=old).split) == 30


def test_images_that_were_trained_on_are_refused_under_any_name(
    measured: Callable[..., ImageSet], config: Callable[..., Config], tmp_path: Path
) -> None:
    data = config("data=folder", f"data.root={tmp_path}/photos", "data.seed=3").data
    train = open_dataset(data).train
    learnt = [Path(train.source.describe(int(index))) for index in train.indices]
    held = sorted({*(tmp_path / "photos").rglob("*.png")} - {*learnt})
    for number, file in enumerate(held):
        link = tmp_path / "new" / file.parent.name / f"{number}.png"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    assert len(measured("data=folder", f"data.root={tmp_path}/new").split) == len(held)
    (tmp_path / "new/red/more.png").symlink_to(learnt[-1])
    with pytest.raises(ConfigError, match=r"run was not trained on, got 1 of .* that it was \(.*red/\d\.png\)"):
        measured("data=folder", f"data.root={tmp_path}/new")


def test_nothing_is_split_off_new_images(measured: Callable[..., ImageSet], tmp_path: Path) -> None:
    photos(tmp_path / "new")
    with pytest.raises(ConfigError, match=r"data\.test_fraction must be left out"):
        measured("data=folder", f"data.root={tmp_path}/new", "data.test_fraction=0.5")


def test_a_file_that_only_numbers_its_classes_needs_a_folder_each(
    measured: Callable[..., ImageSet], tmp_path: Path
) -> None:
    file = a_file(tmp_path / "three.pth", 3)
    found = measured("data=folder", f"data.root={photos(tmp_path / 'new')}", checkpoint=file)
    assert found.split.labels.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert found.origin.endswith("three.pth does not record its training images, be sure that these are none")
    with pytest.raises(ConfigError, match=r"must have 3 classes, because .*three\.pth numbers its classes.*got 2"):
        measured("data=folder", f"data.root={photos(tmp_path / 'two', ('a', 'b'))}", checkpoint=file)
