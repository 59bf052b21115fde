"""What the doctor says of folders of photographs, whole and broken."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deit.config.schema import Config
from deit.data.sources import Split
from deit.data.sources.arrays import ArrayImages
from deit.doctor import data
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Grade, Verdict

SPLITS = {"train": 12, "val": 4, "test": 4}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty images in three splits, two classes, all different."""
    draw = np.random.default_rng(0)
    for split, number in SPLITS.items():
        for index in range(number):
            path = tmp_path / "photos" / split / ("day", "night")[index % 2] / f"{index}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def examined(config: Callable[..., Config], photos: Path) -> Callable[..., dict[str, Verdict]]:
    """The last verdict on each subject."""

    def examine(*overrides: str, all_images: bool = False) -> dict[str, Verdict]:
        subject = Subject(config("data=folder", f"data.root={photos}", *overrides), all_images=all_images)
        return {verdict.subject: verdict for verdict in data.check(subject)}

    return examine


def test_whole_folders_have_nothing_but_counts(examined: Callable[..., dict[str, Verdict]]) -> None:
    found = examined()
    small = found.pop("held out")
    assert small.grade is Grade.warning
    assert small.found == "test has 4 images: an accuracy of 50 % may be 15 to 85 % (95 %, Wilson)"
    assert {verdict.grade for verdict in found.values()} == {Grade.ok}
    assert found["images"].found == "20 of 2 classes: 12 train, 4 val, 4 test"
    assert found["classes"].listed == ("day: 6 train, 2 val, 2 test", "night: 6 train, 2 val, 2 test")
    assert found["reading"].found == "20 images decoded: all"
    assert found["sizes"].found == "the shortest side is 40 pixels, a run uses 28"


def test_images_that_are_not_stored_upright_are_counted(
    photos: Path, examined: Callable[..., dict[str, Verdict]]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(photos / "train/day/0.jpg").save(photos / "train/day/turned.jpg", exif=exif)
    assert examined()["upright"].found == "not stored upright: 1 of 21 images; they are turned as their EXIF says"
    left = examined("data.upright=false")["upright"]
    assert left.found == "not stored upright: 1 of 21 images; they are left so, because data.upright=false"


@pytest.mark.parametrize("decode", ["fast", "reference"])
def test_unreadable_images_are_listed(decode: str, photos: Path, examined: Callable[..., dict[str, Verdict]]) -> None:
    whole = (photos / "train/day/0.jpg").read_bytes()
    (photos / "train/day/0.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "val/night/1.jpg").write_bytes(b"")
    verdict = examined(f"data.decode={decode}")["reading"]
    assert verdict.grade is Grade.problem
    assert verdict.found == "2 of 20 images cannot be read"
    assert [Path(line.partition(": ")[0]).name for line in verdict.listed] == ["1.jpg", "0.jpg"]
    assert "data.on_error=skip" in verdict.advice
    assert examined("data.on_error=skip")["reading"].grade is Grade.warning


def test_copies_in_another_split_are_named_with_both(photos: Path, examined: Callable[..., dict[str, Verdict]]) -> None:
    shutil.copy(photos / "train/day/0.jpg", photos / "test/day/again.jpg")
    shutil.copy(photos / "train/day/0.jpg", photos / "train/day/again.jpg")
    verdict = examined()["copies"]
    assert verdict.grade is Grade.warning
    copy = f"is {photos}/test/day/again.jpg (test)"
    assert verdict.listed == (
        f"{photos}/train/day/0.jpg (train) {copy}",
        f"{photos}/train/day/again.jpg (train) {copy}",
    )


def test_suffixes_that_lie_and_files_that_are_no_images_are_named(
    photos: Path, examined: Callable[..., dict[str, Verdict]]
) -> None:
    Image.open(photos / "val/day/0.jpg").save(photos / "png.png")
    (photos / "png.png").rename(photos / "val/day/0.jpg")
    (photos / "train/day/notes.txt").write_text("")
    (photos / "train/day/photo.heic").write_text("")
    found = examined()
    assert found["suffixes"].listed == (f"{photos}/val/day/0.jpg is PNG",)
    told = found["other files"].found
    assert told.startswith("passed over are 2: ") and "1 .txt" in told and "1 .heic" in told


def test_a_few_small_images_are_a_warning_and_small_images_throughout_are_what_the_data_are(
    photos: Path, examined: Callable[..., dict[str, Verdict]]
) -> None:
    Image.new("RGB", (9, 5)).save(photos / "train/day/small.png")
    verdict = examined()["sizes"]
    assert verdict.grade is Grade.warning
    assert "1 of 21 images" in verdict.found and "5 pixels" in verdict.found
    assert examined("resolution=384", "model.depth=1")["sizes"].grade is Grade.ok


def test_a_class_that_is_never_tested_is_named(photos: Path, examined: Callable[..., dict[str, Verdict]]) -> None:
    shutil.rmtree(photos / "test/night")
    (photos / "test/dawn").mkdir()
    shutil.copy(photos / "test/day/0.jpg", photos / "test/dawn/0.jpg")
    shutil.copy(photos / "test/day/0.jpg", photos / "train/day/1.jpg")
    (photos / "train/dawn").mkdir()
    Image.new("RGB", (40, 40)).save(photos / "train/dawn/0.jpg")
    listed = [line for line in examined()["classes"].listed]
    assert listed == ["night"]


def test_a_sample_is_spread_over_the_splits_and_all_is_all(
    monkeypatch: pytest.MonkeyPatch, examined: Callable[..., dict[str, Verdict]]
) -> None:
    monkeypatch.setattr(data, "SAMPLE", 10)
    assert examined()["reading"].found.startswith("10 images decoded: 10 evenly spread images; all=true")
    assert examined(all_images=True)["reading"].found == "20 images decoded: all"


def test_a_split_of_a_hundred_images_is_large_enough() -> None:
    labels = np.zeros(100, dtype=np.int64)
    images = ArrayImages("made", np.zeros((100, 8, 8), dtype=np.uint8), labels)
    assert list(data.small_splits({"val": Split(images, np.arange(100)), "train": Split(images, np.arange(5))})) == []
    (small,) = data.small_splits({"val": Split(images, np.arange(99))})
    assert small.found.startswith("val has 99 images: an accuracy of 49 % may be 40 to 59 %")


def test_images_in_memory_have_no_files_to_name(config: Callable[..., Config]) -> None:
    found = {verdict.subject: verdict for verdict in data.check(Subject(config()))}
    assert found["reading"].found == "1,797 images decoded: all"
    assert "other files" not in found and "suffixes" not in found
