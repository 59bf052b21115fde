"""Packed images: what is in them, that they survive a kill, and what is refused."""

import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from deit.config.errors import ConfigError, RunError
from deit.config.schema import Config
from deit.data import packed_images, packing
from deit.data.batches import TrainBatch
from deit.data.datamodule import KeyedData
from deit.data.packing import PackedImages, packed
from deit.data.sources import DataSet, ImageError, open_dataset
from small_disk import SmallDisk

SIZES = [(60, 40), (40, 60), (30, 90), (20, 25), (33, 33), (128, 48)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """36 photographs of two classes, wide and high, some smaller than what is asked for."""
    for number in range(36):
        width, height = SIZES[number % len(SIZES)]
        noise = np.random.default_rng(number).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
        folder = tmp_path / "photos" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).resize((width, height)).save(folder / f"{number:02d}.jpg", quality=95)
    return tmp_path / "photos"


@pytest.fixture
def pack(config: Callable[..., Config], root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., DataSet]:
    """Open the photographs and pack them, in an empty folder."""
    monkeypatch.chdir(root.parent)

    def run(*overrides: str) -> DataSet:
        settings = config("data=folder", f"data.root={root}", "data.pack=32", *overrides)
        return packed(open_dataset(settings.data), settings.data)

    return run


def test_the_short_side_is_resized_and_nothing_is_enlarged(pack: Callable[..., DataSet]) -> None:
    dataset = pack()
    images = dataset.train.source
    assert isinstance(images, PackedImages)
    assert len(images) == 36
    sizes = {(w, h): images.pixels(i).shape for i in range(36) for w, h in [images.source.image(i).size]}
    assert sizes[60, 40] == (32, 48, 3)
    assert sizes[30, 90] == (90, 30, 3), "smaller than 32 already"
    assert sizes[20, 25] == (25, 20, 3)
    assert sizes[128, 48] == (32, 85, 3)
    for index in range(36):
        original, made = images.source.image(index), images.image(index)
        expected = original if made.size == original.size else original.resize(made.size, Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(made).astype(int) - np.asarray(expected)).max() <= 2


def test_held_out_images_are_never_packed_ones(pack: Callable[..., DataSet]) -> None:
    dataset = pack()
    assert not isinstance(dataset.val.source, PackedImages)
    assert not isinstance(dataset.test.source, PackedImages)
    assert dataset.val.source is dataset.train.source.source  # type: ignore[attr-defined]


def test_packed_once_is_found_again_by_any_fraction_seed_and_decoding(
    pack: Callable[..., DataSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pack()
    monkeypatch.setattr(packing, "_write", None)  # would fail if anything were packed again
    for again in (pack(), pack("data.train_fraction=0.5"), pack("data.seed=3"), pack("data.decode=reference")):
        assert again.train.source.path == first.train.source.path  # type: ignore[attr-defined]


@pytest.mark.parametrize("decode", ["fast", "reference"])
def test_views_are_rendered_from_packed_images(
    pack: Callable[..., DataSet], config: Callable[..., Config], decode: str
) -> None:
    settings = config("augment=deit", f"data.decode={decode}")
    data = KeyedData(pack(), settings.data, settings.augment, image_size=28, batch_size=8, seed=0)
    (raw, *_) = data.train_dataloader()
    batch = data.on_after_batch_transfer(raw, 0)
    assert isinstance(batch, TrainBatch)
    assert batch.images.shape == (8, 3, 28, 28)
    assert torch.isfinite(batch.images).all()


def test_the_bytes_do_not_depend_on_the_number_of_workers(pack: Callable[..., DataSet]) -> None:
    contents = []
    for workers in (0, 3):
        path = pack(f"data.workers={workers}").train.source.path.parent  # type: ignore[attr-defined]
        contents.append({file.name: file.read_bytes() for file in path.iterdir()})
        shutil.rmtree(path)
    assert contents[0] == contents[1]
    assert contents[0].keys() == {"pixels.u8", "checksums.u32", "sources.u32", "sizes.i32", "identity.json"}


def test_a_loader_process_gets_no_copy_of_the_file(pack: Callable[..., DataSet]) -> None:
    images = pack().train.source
    assert isinstance(images, PackedImages)
    images.pixels(0)
    sent = pickle.dumps(images)
    assert len(sent) < 20_000 < images.path.stat().st_size
    assert (pickle.loads(sent).pixels(5) == images.pixels(5)).all()


def test_broken_images_are_all_named_and_mended_ones_end_it(pack: Callable[..., DataSet], root: Path) -> None:
    whole = (root / "a" / "10.jpg").read_bytes()
    (root / "a" / "10.jpg").write_bytes(whole[:300])
    (root / "b" / "21.jpg").write_text("no image")
    with pytest.raises(RunError, match=r"2 of 36 images cannot be packed:\n.*10\.jpg.*\n.*21\.jpg") as caught:
        pack()
    assert "what is packed stays" in str(caught.value)
    for name in ("a/10.jpg", "b/21.jpg"):
        (root / name).write_bytes(whole)
    assert len(pack().train.source) == 36


def test_other_images_under_the_same_names_are_refused(pack: Callable[..., DataSet], root: Path) -> None:
    pack()
    for path in root.rglob("*.jpg"):
        Image.new("RGB", Image.open(path).size, (200, 0, 0)).save(path)
    with pytest.raises(ConfigError, match=r"is not of the images there are now: .*\.jpg differs; delete that folder"):
        pack()


def test_a_folder_of_other_images_is_refused(pack: Callable[..., DataSet], root: Path) -> None:
    pack("data.pack_path=mine")
    with pytest.raises(ConfigError, match=r"data\.pack_path=mine holds other images, or of another size"):
        pack("data.pack_path=mine", "data.pack=48")
    (root / "a" / "99.jpg").write_bytes((root / "a" / "10.jpg").read_bytes())
    with pytest.raises(ConfigError, match=r"data\.pack_path=mine holds other images"):
        pack("data.pack_path=mine")


def test_half_a_pixel_file_is_gone_on_with(pack: Callable[..., DataSet]) -> None:
    """As a kill between two writes leaves it: pixels without sizes, a size cut in the middle."""
    folder = pack().train.source.path.parent  # type: ignore[attr-defined]
    whole = {name: (folder / name).read_bytes() for name in ("pixels.u8", "sizes.i32")}
    for known, cut in [(0, 0), (0, 5), (7, 0), (20, 3), (35, 7)]:
        (folder / "sizes.i32").write_bytes(whole["sizes.i32"][: 8 * known + cut])
        sizes = np.frombuffer(whole["sizes.i32"], np.int32).reshape(-1, 2)[:known].astype(np.int64)
        (folder / "pixels.u8").write_bytes(whole["pixels.u8"][: 3 * int(sizes.prod(axis=1).sum())] + b"rest")
        pack()
        assert {name: (folder / name).read_bytes() for name in whole} == whole


def test_a_folder_that_is_whole_is_read_and_not_written_to(
    pack: Callable[..., DataSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    pack("data.pack_path=shared")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(packing, "only_one", refuse)
    assert len(pack("data.pack_path=shared").train.source) == 36


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_left_out_on_request_and_missed_without(
    pack: Callable[..., DataSet], config: Callable[..., Config], root: Path, workers: int
) -> None:
    (root / "a" / "10.jpg").write_bytes(b"")
    dataset = pack("data.on_error=skip", f"data.workers={workers}")
    images = dataset.train.source
    assert isinstance(images, PackedImages)
    (hole,) = (index for index in range(36) if images.source.describe(index).endswith("a/10.jpg"))
    with pytest.raises(ImageError, match=r"a/10\.jpg: could not be read when it was packed"):
        images.picture(hole)
    assert [images.pixels(index).ndim for index in range(36) if index != hole] == [3] * 35
    settings = config("data=folder", "data.on_error=skip", "augment=deit", "augment.repeats=1")
    data = KeyedData(dataset, settings.data, settings.augment, image_size=28, batch_size=8, seed=0)
    for raw in data.train_dataloader():
        data.transfer_batch_to_device(raw, torch.device("cpu"), 0)
    assert data.skipped.record()["count"] == int(hole in dataset.train.indices)
    with pytest.raises(RunError, match=r"without 1 images that could not be read:\n.*a/10\.jpg\n.*delete that folder"):
        pack()


def test_images_that_vanish_while_they_are_packed_are_not_left_out(
    pack: Callable[..., DataSet], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmount(*arguments: object, **settings: object) -> None:
        root.rename(root.with_name("elsewhere"))
        build(*arguments, **settings)  # type: ignore[arg-type]

    build = packing.build
    monkeypatch.setattr(packing, "build", unmount)
    with pytest.raises(RunError, match="nor can 16 others be read: bring the images back"):
        pack("data.on_error=skip")
    root.with_name("elsewhere").rename(root)
    monkeypatch.setattr(packing, "build", build)
    assert len(pack().train.source) == 36


def test_a_full_disk_is_told_and_packing_goes_on_when_there_is_room(
    pack: Callable[..., DataSet], small_disk: Callable[[int], SmallDisk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "COMMITTED", 4)
    disk = small_disk(400)
    disk.fill(left=70_000)
    where = f"data.pack_path={disk.folder}/pack"
    with pytest.raises(RunError, match=r"pack/pixels\.u8 cannot be written \(No space left.*data\.pack_path="):
        pack(where)
    before = (disk.folder / "pack/sizes.i32").read_bytes()
    assert 0 < len(before) < 36 * 8
    disk.make_room()
    images = pack(where).train.source
    assert (disk.folder / "pack/sizes.i32").read_bytes()[: len(before)] == before
    assert (disk.folder / "pack/pixels.u8").read_bytes() == pack().train.source.path.read_bytes()  # type: ignore[attr-defined]
    assert len(images) == 36


@pytest.mark.slow
def test_a_packer_that_is_killed_packs_the_same_bytes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for copy in range(60):
        for path in sorted((root / "a").glob("??.jpg")):
            (path.parent / f"{path.stem}_{copy}.jpg").hardlink_to(path)
    code = f"""
from deit.config.material import Data, DataKind
from deit.data import packed_images, packing
from deit.data.sources import open_dataset
packing.COMMITTED = 16
data = Data(name="folder", kind=DataKind.folder, root={str(root)!r}, pack="32")
packing.packed(open_dataset(data), data)
"""
    command = [sys.executable, "-c", code]
    contents = []
    for kills in (0, 4):
        where = root.parent / f"killed_{kills}"
        where.mkdir()
        for _ in range(kills):
            with subprocess.Popen(command, cwd=where) as process:
                while not list(where.glob("logs/packed/*/sizes.i32")) and process.poll() is None:
                    time.sleep(0.01)
                time.sleep(random.uniform(0, 0.3))
                process.kill()
        subprocess.run(command, cwd=where, check=True, timeout=120)
        (folder,) = (path for path in where.glob("logs/packed/*") if path.is_dir())
        contents.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert contents[0] == contents[1]


def test_the_same_names_under_another_mount_are_the_same_images(
    pack: Callable[..., DataSet], config: Callable[..., Config], root: Path
) -> None:
    first = pack().train.source
    root.rename(root.with_name("moved"))
    settings = config("data=folder", f"data.root={root.with_name('moved')}", "data.pack=32")
    again = packed(open_dataset(settings.data), settings.data).train.source
    assert again.path == first.path  # type: ignore[attr-defined]
    identity = json.loads((again.path.parent / "identity.json").read_text())  # type: ignore[attr-defined]
    assert identity["side"] == 32
    assert identity["images"] == 36


@pytest.mark.parametrize("name", ["pixels.u8", "sizes.i32", "identity.json"])
def test_a_pack_that_leads_elsewhere_by_a_link_changes_nothing_there(
    pack: Callable[..., DataSet], tmp_path: Path, name: str
) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "thesis.tex").write_text("ten years of work")
    (tmp_path / "pack" / name).symlink_to(tmp_path / "thesis.tex")
    with pytest.raises(ConfigError, match=rf"{name} leads to .*thesis\.tex, outside of its folder"):
        pack("data.pack_path=pack")
    assert (tmp_path / "thesis.tex").read_text() == "ten years of work"


def photographs(root: Path) -> list[Path]:
    return sorted(root.rglob("*.jpg"))


def test_one_other_image_under_the_same_name_is_refused(pack: Callable[..., DataSet], root: Path) -> None:
    """Of the same size in pixels and bytes, and with the times of the file that it replaces."""
    pack()
    file = photographs(root)[1]
    content, times = bytearray(file.read_bytes()), file.stat()
    content[-30] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(ConfigError, match=rf"is not of the images there are now: {file} differs; delete that folder"):
        pack()


def test_copies_with_other_times_are_the_same_images(pack: Callable[..., DataSet], root: Path) -> None:
    pack()
    for file in photographs(root):
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
        os.utime(file, (0, 0))
    assert len(pack().train.source) == 36


@pytest.mark.parametrize("damage", ["bit", "zeros"])
def test_corrupt_pixels_are_made_again_of_the_file_with_one_warning(
    pack: Callable[..., DataSet], root: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    images = pack().train.source
    assert isinstance(images, PackedImages)
    expected = [images.pixels(index).copy() for index in range(36)]
    content = bytearray(images.path.read_bytes())
    if damage == "bit":
        content[len(content) // 2] ^= 64
    else:
        content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    images.path.write_bytes(content)
    again = pack().train.source
    assert isinstance(again, PackedImages)
    assert all(np.array_equal(again.pixels(index), expected[index]) for index in range(36))
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert ["pixels.u8 is damaged" in warning for warning in warnings] == [True]
    (corrupt, *_) = (index for index in range(36) if again._seen[index] == packed_images.CORRUPT)
    for file in photographs(root):
        file.unlink()
    with pytest.raises(
        ImageError, match=r"\.jpg: its pixels in .*pixels\.u8 are damaged, and .*; copy that pack again"
    ):
        again.pixels(corrupt)


class Looked:
    """Collates positions by reading the images there."""

    def __init__(self, images: PackedImages) -> None:
        self.images = images

    def __call__(self, indices: list[int]) -> int:
        return sum(int(self.images.pixels(index).sum()) for index in indices)


def test_workers_share_what_they_find(pack: Callable[..., DataSet]) -> None:
    images = pack().train.source
    assert isinstance(images, PackedImages)
    images._seen[:] = packed_images.NOT_READ
    for _ in DataLoader([*range(36)], batch_size=6, num_workers=2, collate_fn=Looked(images)):  # type: ignore[arg-type]
        pass
    assert (images._seen[:36] == packed_images.INTACT).all()


def test_a_pack_without_checksums_is_read_with_a_warning(
    pack: Callable[..., DataSet], caplog: pytest.LogCaptureFixture
) -> None:
    images = pack().train.source
    assert isinstance(images, PackedImages)
    expected = images.pixels(7).copy()
    for name in ("checksums.u32", "sources.u32"):
        images.path.with_name(name).unlink()
    again = pack().train.source
    assert np.array_equal(again.pixels(7), expected)  # type: ignore[attr-defined]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        f"{images.path.parent} was packed without checksums, or lost them: damage to it, or other files under the same"
        " names, may not be noticed; delete that folder, and the images are packed again"
    ]


def test_pixels_beside_no_identity_are_refused(pack: Callable[..., DataSet]) -> None:
    folder = pack("data.pack_path=mine").train.source.path.parent  # type: ignore[attr-defined]
    (folder / "identity.json").unlink()
    with pytest.raises(ConfigError, match=r"mine/identity\.json is missing.*copy it again, or delete mine"):
        pack("data.pack_path=mine")
