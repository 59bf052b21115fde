"""The sets of Table 6 that come as files of their publishers: Cars, iNaturalist, Flowers with val joined."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deit.config import published
from deit.config.errors import ConfigError
from deit.config.material import Data, DataKind
from deit.data.sources import open_dataset
from deit.data.sources.arrays import ArrayImages
from deit.data.sources.base import Parts
from deit.data.sources.division import divide


def settings(kind: DataKind, root: Path, **values: Any) -> Data:  # noqa: ANN401 - fields of several types
    return Data(name=kind.value, kind=kind, root=str(root), **values)


def picture(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), colour).save(path)


def cars(root: Path) -> Path:
    """Two classes, three training and two test photographs, in the layout of the publisher's archives."""
    scipy_io = pytest.importorskip("scipy.io")
    base = root / "stanford_cars"
    (base / "devkit").mkdir(parents=True)

    def annotations(path: Path, folder: str, classes: list[int]) -> None:
        fields = np.dtype([("bbox_x1", "O"), ("class", "O"), ("fname", "O")])
        rows = np.empty((1, len(classes)), dtype=fields)
        for i, label in enumerate(classes):
            rows[0, i] = (1, label, f"{i:05d}.jpg")
            picture(base / folder / f"{i:05d}.jpg", (100 * label, 10, 10))
        scipy_io.savemat(path, {"annotations": rows})

    annotations(base / "devkit/cars_train_annos.mat", "cars_train", [1, 2, 2, 1])
    annotations(base / "cars_test_annos_withlabels.mat", "cars_test", [2, 1])
    names = np.empty((1, 2), dtype=object)
    names[0] = ["AM General Hummer", "Acura RL"]
    scipy_io.savemat(base / "devkit/cars_meta.mat", {"class_names": names})
    return root


def test_cars_are_read_from_the_publishers_layout(tmp_path: Path) -> None:
    found = open_dataset(settings(DataKind.cars, cars(tmp_path), val_fraction=0.5))
    assert found.classes == ("AM General Hummer", "Acura RL")
    assert (len(found.train), len(found.val), len(found.test), found.test_split) == (2, 2, 2, "test")
    assert found.test.labels.tolist() == [1, 0], "classes are counted from 1 in the files"
    red = np.asarray(found.test.source.image(0))[8, 8, 0]
    assert abs(int(red) - 200) < 6


@pytest.mark.parametrize(
    "name", ["devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat", "devkit/cars_meta.mat"]
)
@pytest.mark.parametrize("damage", ["gone", "cut", "empty", "strange"])
def test_damaged_annotations_of_cars_are_told(tmp_path: Path, name: str, damage: str) -> None:
    file = cars(tmp_path) / "stanford_cars" / name
    if damage == "gone":
        file.unlink()
    elif damage == "strange":
        pytest.importorskip("scipy.io").savemat(file, {"other": 1})
    else:
        file.write_bytes(file.read_bytes()[:200] if damage == "cut" else b"")
    with pytest.raises(ConfigError, match=r"stanford_cars/, which lacks files or is damaged.*data\.root="):
        open_dataset(settings(DataKind.cars, tmp_path))


@pytest.mark.parametrize("name", ["../../../etc/passwd.jpg", "/etc/passwd.jpg"])
def test_annotations_of_cars_name_no_image_elsewhere(tmp_path: Path, name: str) -> None:
    file = cars(tmp_path) / "stanford_cars/devkit/cars_train_annos.mat"
    rows = np.array([(1, name), (2, "00001.jpg")], dtype=[("class", "O"), ("fname", "O")])
    pytest.importorskip("scipy.io").savemat(file, {"annotations": rows})
    with pytest.raises(ConfigError, match=r"an annotation file of data=cars names the image .*passwd.*outside"):
        open_dataset(settings(DataKind.cars, tmp_path))


def test_cars_that_are_missing_are_asked_for_without_a_download(tmp_path: Path) -> None:
    (problem,) = published.problems(settings(DataKind.cars, tmp_path))
    assert "stanford_cars/" in problem
    assert "data.download" not in problem


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (DataKind.cars, "taken down by its publisher.*holds stanford_cars/"),
        (DataKind.inat2018, "too large.*the annotations and the images"),
        (DataKind.inat2019, "too large.*the annotations and the images"),
    ],
)
def test_what_cannot_be_downloaded_says_why_before_and_when_it_is_opened(
    tmp_path: Path, kind: DataKind, why: str
) -> None:
    asked = settings(kind, tmp_path, download=True)
    (problem,) = published.problems(asked)
    with pytest.raises(ConfigError, match=f"{why}.* data.download=false") as caught:
        open_dataset(asked)
    assert str(caught.value) == problem


def inaturalist(root: Path, year: int, **changes: object) -> Path:
    """Two species, with categories neither sorted nor counted from 0."""
    for split, species in (("train", [7, 3, 7, 3]), ("val", [3, 7])):
        images = [{"id": 10 + i, "file_name": f"train_val{year}/{c}/{split}{i}.jpg"} for i, c in enumerate(species)]
        for entry, category in zip(images, species, strict=True):
            picture(root / str(entry["file_name"]), (20 * category, 0, 0))
        content = {
            "images": images,
            "annotations": [{"image_id": 10 + i, "category_id": c} for i, c in reversed(list(enumerate(species)))],
            "categories": [{"id": 7, "name": "Parus major"}, {"id": 3, "name": "Bellis perennis"}],
            **changes,
        }
        (root / f"{split}{year}.json").write_text(json.dumps(content))
    return root


@pytest.mark.parametrize("year", [2018, 2019])
def test_inaturalist_is_tested_on_its_val_split(tmp_path: Path, year: int) -> None:
    found = open_dataset(settings(DataKind(f"inat{year}"), inaturalist(tmp_path, year)))
    assert found.classes == ("Bellis perennis", "Parus major")
    assert (len(found.train), len(found.val), len(found.test), found.test_split) == (4, 2, 2, "val")
    assert found.train.labels.tolist() == [1, 0, 1, 0]
    assert abs(int(np.asarray(found.train.source.image(0))[8, 8, 0]) - 140) < 6


def test_annotations_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    for name in ("../secret.jpg", "/etc/passwd", "a/../../b.jpg"):
        outside = [{"id": 10, "file_name": name}]
        root = inaturalist(
            tmp_path / name.replace("/", "_"), 2018, images=outside, annotations=[{"image_id": 10, "category_id": 3}]
        )
        with pytest.raises(ConfigError, match="which is outside"):
            open_dataset(settings(DataKind.inat2018, root))


BROKEN = {
    "no JSON": '{"images": [], "annotations"',
    "no object": "[]",
    "no lists": '{"images": 1, "annotations": 2, "categories": 3}',
    "no annotation": '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": []}',
    "a strange category": (
        '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "category_id": 99}],'
        ' "categories": []}'
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("split", ["train", "val"])
def test_broken_annotations_are_named(tmp_path: Path, split: str, broken: str) -> None:
    root = inaturalist(tmp_path, 2018)
    (root / f"{split}2018.json").write_text(BROKEN[broken])
    with pytest.raises(ConfigError, match=rf"{split}2018\.json cannot be read as the annotations"):
        open_dataset(settings(DataKind.inat2018, root))


def test_missing_annotations_are_asked_for_early(tmp_path: Path) -> None:
    root = inaturalist(tmp_path, 2018)
    assert not list(published.problems(settings(DataKind.inat2018, root)))
    (root / "val2018.json").unlink()
    (problem,) = published.problems(settings(DataKind.inat2018, root))
    assert "needs val2018.json" in problem


def grey(name: str, count: int) -> ArrayImages:
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3)
    return ArrayImages(name, pixels, np.arange(count, dtype=np.int64) % 2)


def test_a_val_split_joins_training_on_request(tmp_path: Path) -> None:
    parts = Parts(("a", "b"), grey("train", 20), val=grey("val", 20), test=grey("test", 6))
    kept = divide(settings(DataKind.flowers102, tmp_path), parts)
    assert (len(kept.train), len(kept.val), len(kept.test)) == (20, 20, 6)
    joined = divide(settings(DataKind.flowers102, tmp_path, own_val=False, val_fraction=0.1), parts)
    assert (len(joined.train), len(joined.val), len(joined.test), joined.test_split) == (36, 4, 6, "test")
    source = joined.train.source
    assert [source.describe(i) for i in (0, 19, 20, 39)] == ["train[0]", "train[19]", "val[0]", "val[19]"]
    assert np.asarray(source.image(25))[0, 0, 0] == 5
    assert len(source) == 40


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_val_split_joins_only_beside_a_test_split(tmp_path: Path, split: str) -> None:
    parts = Parts(("a", "b"), grey("train", 20), **{split: grey(split, 20)})
    with pytest.raises(
        ConfigError, match=r"data\.own_val=false needs a set with val and test.* leave data\.own_val out"
    ):
        divide(settings(DataKind.folder, tmp_path, own_val=False), parts)


@pytest.mark.parametrize("kind", list(DataKind))
def test_where_a_val_split_cannot_join_is_said_before_files_are_opened(tmp_path: Path, kind: DataKind) -> None:
    joins = kind in (DataKind.flowers102, DataKind.folder, DataKind.hf)
    problems = list(settings(kind, tmp_path, own_val=False).problems())
    assert [text for text in problems if text.startswith("data.own_val=false")] == problems
    assert len(problems) == (0 if joins else 1)


class Payload:
    """Makes a folder in the working directory when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    ("kind", "folder", "names"),
    [
        (
            DataKind.cifar10,
            "cifar-10-batches-py",
            [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"],
        ),
        (DataKind.cifar100, "cifar-100-python", ["train", "test", "meta"]),
    ],
)
def test_pickles_that_are_not_the_publishers_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: DataKind, folder: str, names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / folder).mkdir()
    for name in names:
        (tmp_path / folder / name).write_bytes(pickle.dumps(Payload()))
    with pytest.raises(ConfigError, match=rf"{folder}/, which lacks files or is damaged"):
        open_dataset(settings(kind, tmp_path))
    assert not (tmp_path / "executed").exists()
