"""What fitted teachers and banks are called, and that those of before are still found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deit.config.schema import Config
from deit.data.sources import open_dataset
from deit.models.teachers import FrozenTeacher
from deit.training import banks, teachers
from deit.training.teachers import fitted_file, label

SETTINGS = ("distill=hard", "scale.depth=1", "teacher.nano_width=0.05")


def test_a_fitted_teacher_is_named_for_what_it_is_and_one_of_before_is_found(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = config(*SETTINGS)
    dataset = open_dataset(asked.data)
    file = fitted_file(asked, dataset)
    assert file.name.startswith("digits-regnety_160-nano-fitted-") and "deit_in1k" not in str(file)
    digest = file.stem.rpartition("-")[2]
    before = file.with_name(f"digits-regnety_160.deit_in1k-{digest}.safetensors")
    before.parent.mkdir(parents=True)
    before.touch()
    assert fitted_file(asked, dataset) == before
    file.touch()
    assert fitted_file(asked, dataset) == file
    assert label(asked) == "regnety_160 (nano, fitted on digits)"
    assert label(config(*SETTINGS, "data=folder", "data.root=/a/photos", "data.num_classes=3")) == (
        "regnety_160 (nano, fitted on photos)"
    )
    both = config(*SETTINGS, "teacher=ensemble", "teacher.members=[regnety_160.deit_in1k,resnet50.tv_in1k]")
    assert label(both) == "regnety_160 (nano, fitted on digits) + resnet50 (nano, fitted on digits)"


def test_a_bank_of_before_is_found(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = config(*SETTINGS)
    dataset = open_dataset(asked.data)
    network = teachers.untrained(asked, num_classes=10)
    names = {"label": teachers.label(asked), "slug": teachers.slug(asked)}
    teacher = FrozenTeacher(network, "regnety_160.deit_in1k", **names)
    folder = banks.folder_of(asked, dataset, teacher)
    assert folder.name.startswith("digits-regnety_160-nano-fitted-")
    before = folder.with_name(f"digits-regnety_160.deit_in1k-{folder.name.rpartition('-')[2]}")
    before.mkdir(parents=True)
    assert banks.folder_of(asked, dataset, teacher) == before
