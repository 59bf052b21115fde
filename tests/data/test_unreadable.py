"""Images that cannot be read: named, or replaced without anything else becoming another."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deit.config.errors import RunError
from deit.config.schema import Config
from deit.data.batches import RawBatch, TrainBatch
from deit.data.datamodule import KeyedData
from deit.data.sources import open_dataset

CPU = torch.device("cpu")
CLASSES = ("cat", "dog 'n' = wolf, ü")  # what file names may be


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve images of each of two classes in train/ and val/, each of its own grey."""
    for split in ("train", "val"):
        for number in range(24):
            path = tmp_path / "photos" / split / CLASSES[number % 2] / f"{number:02d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40 + number, 32), (10 * number,) * 3).save(path)
    return tmp_path / "photos"


@pytest.fixture
def opened(config: Callable[..., Config], photos: Path) -> Callable[..., KeyedData]:
    def run(*overrides: str, batch_size: int = 8) -> KeyedData:
        c = config("data=folder", f"data.root={photos}", "augment=deit", "augment.repeats=1", *overrides)
        return KeyedData(open_dataset(c.data), c.data, c.augment, image_size=28, batch_size=batch_size, seed=c.seed)

    return run


def raw_batches(data: KeyedData) -> list[RawBatch]:
    return [data.transfer_batch_to_device(raw, CPU, 0) for raw in data.train_dataloader()]  # type: ignore[misc]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:300])


def turn_into_a_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><p>not found")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def delete(path: Path) -> None:
    path.unlink()


def lead_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.jpg")


def turn_into_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


BREAKS = {
    cut: "cannot be decoded (",
    turn_into_a_page: "cannot be decoded (it is a web page (HTML), in place of the image)",
    empty: "cannot be decoded (the file is empty)",
    delete: "cannot be read (No such file or directory)",
    lead_nowhere: "cannot be read (No such file or directory)",
    turn_into_a_folder: "cannot be read (Is a directory)",
}


@pytest.mark.parametrize("decode", ["fast", "reference"])
@pytest.mark.parametrize("break_", BREAKS, ids=lambda break_: break_.__name__)
def test_what_breaks_after_it_was_listed_is_named_with_its_class_and_what_to_type(
    opened: Callable[..., KeyedData], photos: Path, break_: Callable[[Path], None], decode: str
) -> None:
    data = opened(f"data.decode={decode}")
    broken = photos / "train" / CLASSES[1] / "07.jpg"
    break_(broken)
    with pytest.raises(RunError) as caught:
        raw_batches(data)
    said = str(caught.value)
    assert said.startswith(f"an image cannot be read:\n  {broken}: {BREAKS[break_]}"), said
    assert said.count(f" (class {CLASSES[1]})\n") == 1
    assert said.endswith("or pass data.on_error=skip; the same command then goes on")


def test_a_suffix_says_nothing(opened: Callable[..., KeyedData], photos: Path) -> None:
    Image.new("RGB", (40, 40)).save(photos / "train/cat/00.jpg", "PNG")
    assert len(raw_batches(opened())) == 3


@pytest.mark.parametrize("decode", ["fast", "reference"])
def test_another_image_of_the_class_stands_in_and_all_else_is_as_it_was(
    opened: Callable[..., KeyedData], photos: Path, decode: str
) -> None:
    settings = (f"data.decode={decode}", "data.on_error=skip")
    whole = raw_batches(opened(*settings))
    data = opened(*settings)
    for name in ("00", "02", "04"):
        turn_into_a_page(photos / "train/cat" / f"{name}.jpg")
    seen = raw_batches(data)
    assert len(seen) == len(whole) > 1
    changed = 0
    for before, after in zip(whole, seen, strict=True):
        broken = torch.isin(before.indices, torch.arange(3))
        assert {fault.image for fault in after.faults} == set(before.indices[broken].tolist())
        for part in ("labels", "views", "indices"):
            assert torch.equal(getattr(before, part), getattr(after, part))
        assert torch.equal(before.images[~broken], after.images[~broken])
        assert torch.equal(before.boxes[~broken], after.boxes[~broken])
        changed += int(broken.sum())
    assert changed == 3


def test_what_stands_in_is_of_the_class_and_held_out_images_never_are(
    opened: Callable[..., KeyedData], photos: Path
) -> None:
    """In one tree, of which we hold out val and test: a grey tells which image is seen."""
    shutil.rmtree(photos / "val")
    for folder in (photos / "train").iterdir():
        folder.rename(photos / folder.name)
    (photos / "train").rmdir()
    settings = (f"data.root={photos}", "data.on_error=skip", "augment=none", "data.test_fraction=0.4")
    data = opened(*settings)
    split = data.dataset.train
    cats = [int(index) for index in split.indices if split.source.labels[index] == 0]
    for index in cats[1:]:
        empty(Path(split.source.describe(index)))
    views = torch.cat([batch.images for batch in raw_batches(data)]).float()
    labels = torch.cat([batch.labels for batch in raw_batches(data)])
    greys = views[labels == 0].mean(dim=(1, 2, 3))
    assert torch.allclose(greys, torch.full_like(greys, 10 * 2 * cats[0]), atol=2), "the only cat that is left"
    assert len(greys) == len(cats)


@pytest.mark.parametrize("settings", [("data.workers=2",), ("optim.epochs=7",)], ids=["workers", "again"])
def test_who_stands_in_is_a_function_of_the_key(
    opened: Callable[..., KeyedData], photos: Path, settings: tuple[str, ...]
) -> None:
    for name in ("00", "05", "06"):
        delete_later = photos / "train" / CLASSES[int(name) % 2] / f"{name}.jpg"
        empty(delete_later)
    first, second = opened("data.on_error=skip"), opened("data.on_error=skip", *settings)
    for one, other in zip(raw_batches(first), raw_batches(second), strict=True):
        assert torch.equal(one.images, other.images)
        assert [fault.name for fault in one.faults] == [fault.name for fault in other.faults]
    assert first.skipped.record() == second.skipped.record()


def test_each_is_said_once_and_all_are_recorded(
    opened: Callable[..., KeyedData], photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = opened("data.on_error=skip")
    broken = [str(photos / "train/cat/00.jpg"), str(photos / "val/cat/02.jpg")]
    for name in broken:
        empty(Path(name))
    for _ in range(2):
        raw_batches(data)
        evaluated(data)
    assert data.skipped.record() == {"count": 2, "files": broken}
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert said == [f"skipped: {name}: cannot be decoded (the file is empty) (class cat)" for name in broken]


def evaluated(data: KeyedData) -> list[int]:
    batches = [data.transfer_batch_to_device(batch, CPU, 0) for batch in data.val_dataloader()]
    finished = [data.on_after_batch_transfer(batch, 0) for batch in batches]
    assert all(len(batch.images) == len(batch.labels) == len(batch.indices) for batch in finished)
    return [index for batch in finished for index in batch.indices.tolist()]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [2, 8, 100])
def test_in_evaluation_an_image_that_cannot_be_read_does_not_count(
    opened: Callable[..., KeyedData], photos: Path, batch_size: int, workers: int
) -> None:
    """Also where none is left of a batch."""
    data = opened("data.on_error=skip", f"data.workers={workers}", batch_size=batch_size)
    for number in (0, 2, 5):
        empty(photos / "val" / CLASSES[number % 2] / f"{number:02d}.jpg")
    names = [data.dataset.val.source.describe(index) for index in range(24)]
    left = [index for index, name in enumerate(names) if Path(name).stat().st_size]
    assert evaluated(data) == left
    assert len(left) == 21


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize("loader", ["train", "val"])
def test_a_root_that_vanishes_ends_the_run_whatever_is_to_be_skipped(
    opened: Callable[..., KeyedData], photos: Path, on_error: str, loader: str
) -> None:
    data = opened(f"data.on_error={on_error}")
    photos.rename(photos.with_name("gone"))
    with pytest.raises(RunError, match=r"images cannot be read(?s:.)*photos is not there any more: bring it back"):
        raw_batches(data) if loader == "train" else evaluated(data)


def test_a_class_of_which_nothing_is_left_ends_the_run(opened: Callable[..., KeyedData], photos: Path) -> None:
    data = opened("data.on_error=skip")
    for path in (photos / "train/cat").iterdir():
        empty(path)
    with pytest.raises(RunError, match="nor can any of 16 others, or of as many as there are: replace"):
        raw_batches(data)


def test_a_class_of_telephone_photographs_is_told_how_to_convert_them(
    opened: Callable[..., KeyedData], photos: Path
) -> None:
    data = opened("data.on_error=skip")
    for path in (photos / "train/cat").iterdir():
        path.write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(500))
    with pytest.raises(RunError) as caught:
        raw_batches(data)
    said = str(caught.value)
    assert f"  {photos}/train/cat/" in said
    assert ".jpg: cannot be decoded (it is HEIC, whatever its name says); type heif-convert" in said
    assert f"for all of them type find {photos} -type f -exec" in said and "bring the images back" not in said


@pytest.mark.parametrize("mode", ["pair", "batch"])
def test_what_is_mixed_with_a_stand_in_is_no_view_of_its_key_either(
    opened: Callable[..., KeyedData], photos: Path, mode: str
) -> None:
    empty(photos / "train/cat/00.jpg")
    data = opened("data.on_error=skip", f"augment.mix_mode={mode}")
    finished = [data.on_after_batch_transfer(raw, 0) for raw in raw_batches(data)]
    (batch,) = [one for one in finished if isinstance(one, TrainBatch) and one.substituted.any()]
    at = batch.indices.tolist().index(0)
    partner = at ^ 1 if mode == "pair" else len(batch.indices) - 1 - at
    assert np.flatnonzero(batch.substituted).tolist() == sorted((at, partner))


def test_whether_to_skip_makes_no_other_run(config: Callable[..., Config]) -> None:
    """A run that stopped at a broken image may go on without it."""
    from deit.config.compose import fingerprint

    assert fingerprint(config("data.on_error=skip")) == fingerprint(config())
