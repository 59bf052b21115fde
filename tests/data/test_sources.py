"""Facts about the readers: what they find, how it is split, and what they say when files are missing."""

import gzip
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deit.config.errors import ConfigError
from deit.config.material import Data, DataKind
from deit.data.sources import DataSet, ImageError, Split, fashion_mnist, open_dataset

RED = (200, 30, 40)


def settings(kind: DataKind, root: Path | None = None, **values) -> Data:
    return Data(name=kind.value, kind=kind, root=None if root is None else str(root), **values)


def tree(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), each: int = 10) -> Path:
    """``each`` small JPEGs a class, in colours that tell the classes apart."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            Image.new("RGB", (6, 4), (100 * label, 9 * number, 0)).save(folder / name / f"{number:03}.jpg")
    return folder


def images(split: Split) -> set[str]:
    return {split.source.describe(int(index)) for index in split.indices}


def sizes(found: DataSet) -> tuple[int, int, int, str]:
    return len(found.train), len(found.val), len(found.test), found.test_split


def test_digits_are_split_into_three_without_overlap():
    found = open_dataset(settings(DataKind.digits))
    assert sum(sizes(found)[:3]) == 1797 and sizes(found)[2:] == (359, "test")
    assert len(images(found.train) | images(found.val) | images(found.test)) == 1797
    assert found.classes == tuple("0123456789") and found.train.source.describe(17) == "digits[17]"
    pixels = np.asarray(found.train.source.image(0))
    assert pixels.shape == (8, 8, 3) and pixels.dtype == np.uint8
    assert max(np.asarray(found.train.source.image(index)).max() for index in range(20)) == 255
    assert np.array_equal(found.test.labels, found.test.source.labels[found.test.indices])


def test_a_split_depends_on_no_share_that_is_taken_after_it():
    def digits(**values) -> DataSet:
        return open_dataset(settings(DataKind.digits, **values))

    plain, used_less = digits(), digits(train_fraction=0.1)
    assert images(plain.test) == images(digits(val_fraction=0.3, train_fraction=0.5).test)
    assert images(plain.val) == images(used_less.val)
    assert images(digits(train_fraction=0.01).train) < images(used_less.train) < images(plain.train)
    assert images(plain.test) != images(digits(seed=1).test)


def test_another_number_of_classes_than_declared_is_refused_with_both_numbers():
    with pytest.raises(ConfigError, match=r"data\.num_classes=7.* 10 classes.*data\.num_classes=10"):
        open_dataset(settings(DataKind.digits, num_classes=7))


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ({"": 10}, (11, 3, 6, "test")),  # by the names of the images: shares of 0.1 and 0.2 on average
        ({"train": 10}, (11, 3, 6, "test")),
        ({"train": 10, "test": 3}, (17, 3, 6, "test")),
        ({"train": 10, "valid": 3}, (20, 6, 6, "val")),
        ({"train": 10, "val": 3, "test": 4}, (20, 6, 8, "test")),
    ],
)
def test_what_a_folder_does_not_bring_along_is_split_off(tmp_path, layout, expected):
    for split, each in layout.items():
        tree(tmp_path / split, each=each)
    found = open_dataset(settings(DataKind.folder, tmp_path))
    assert sizes(found) == expected and found.classes == ("cat", "dog")
    assert not images(found.train) & (images(found.val) | images(found.test))


def test_an_image_keeps_its_split_wherever_the_folder_lies_and_whichever_images_come_or_go(tmp_path):
    def placed(root: Path) -> dict[str, str]:
        found = open_dataset(settings(DataKind.folder, root, val_fraction=0.3))
        splits = {"train": found.train, "val": found.val, "test": found.test}
        return {str(Path(path).relative_to(root)): name for name, one in splits.items() for path in images(one)}

    small, large = tree(tmp_path / "small", each=20), tree(tmp_path / "elsewhere/large", ("ant", "cat", "dog"), each=35)
    before, after = placed(small), placed(large)
    assert before.items() <= after.items()
    (small / "cat/003.jpg").unlink()
    assert placed(small).items() <= before.items()
    assert set(before.values()) == {"train", "val", "test"}


def test_labels_follow_the_class_folders_of_train(tmp_path):
    tree(tmp_path / "train", ("ant", "bee", "cow"))
    tree(tmp_path / "val", ("ant", "cow"), each=2)  # a val split may lack classes
    found = open_dataset(settings(DataKind.folder, tmp_path))
    assert found.val.labels.tolist() == [0, 0, 2, 2]
    folders = [Path(found.train.source.describe(index)).parent.name for index in range(30)]
    assert [("ant", "bee", "cow")[label] for label in found.train.source.labels] == folders


def test_imagenet_is_tested_on_val_and_needs_both_folders(tmp_path):
    tree(tmp_path / "train")
    with pytest.raises(ConfigError, match="no folder val/"):
        open_dataset(settings(DataKind.imagenet, tmp_path))
    tree(tmp_path / "val", each=4)
    assert sizes(open_dataset(settings(DataKind.imagenet, tmp_path))) == (20, 8, 8, "val")


def test_imagenet_is_measured_on_with_val_alone(tmp_path):
    alone = tree(tmp_path / "alone/val", each=4).parent
    with pytest.raises(ConfigError, match="no folder train/"):
        open_dataset(settings(DataKind.imagenet, alone))
    found = open_dataset(settings(DataKind.imagenet, alone), trains=False)
    assert (sizes(found), found.classes) == ((0, 8, 8, "val"), ("cat", "dog"))


def test_imagenets_classes_are_those_of_train_where_it_is_there(tmp_path):
    tree(tmp_path / "val", each=4)
    tree(tmp_path / "train", ("ant", "cat", "dog"))
    found = open_dataset(settings(DataKind.imagenet, tmp_path), trains=False)
    assert (found.classes, found.val.labels.tolist()) == (("ant", "cat", "dog"), [1] * 4 + [2] * 4)


def test_a_folder_that_is_no_data_set_is_refused_in_words(tmp_path):
    for kind in (DataKind.folder, DataKind.imagenet):
        with pytest.raises(ConfigError, match=r"pass data\.root="):
            open_dataset(settings(kind))
        with pytest.raises(ConfigError, match="does not exist"):
            open_dataset(settings(kind, tmp_path / "nowhere"))
    tree(tmp_path / "val")
    tree(tmp_path / "test")
    with pytest.raises(ConfigError, match="has val/, test/ but no train"):
        open_dataset(settings(DataKind.folder, tmp_path))
    tree(tmp_path / "single", each=1)
    with pytest.raises(ConfigError, match="no class has an image to spare for the test split"):
        open_dataset(settings(DataKind.folder, tmp_path / "single"))


def write_idx(folder: Path, *, compress: bool, count: int = 40) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, number in (("train", count), ("t10k", 10)):
        pixels = np.arange(number * 28 * 28, dtype=np.uint32).astype(np.uint8)
        labels = (np.arange(number) % 10).astype(np.uint8)
        for name, values, shape in (
            ("images-idx3", pixels, (number, 28, 28)),
            ("labels-idx1", labels, (number,)),
        ):
            content = bytes((0, 0, 8, len(shape))) + np.array(shape, ">u4").tobytes() + values.tobytes()
            path = folder / f"{prefix}-{name}-ubyte{'.gz' if compress else ''}"
            path.write_bytes(gzip.compress(content) if compress else content)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("below", ["", "FashionMNIST/raw"])
def test_fashion_mnist_is_read_from_either_layout(tmp_path, compress, below):
    write_idx(tmp_path / below, compress=compress)
    found = open_dataset(settings(DataKind.fashion_mnist, tmp_path))
    assert sizes(found) == (30, 10, 10, "test")  # at least one of each class of four goes to val
    assert found.classes[9] == "Ankle boot" and found.test.labels.tolist() == list(range(10))
    pixels = np.asarray(found.train.source.image(1))
    assert pixels.shape == (28, 28, 3) and pixels[0, :2, 1].tolist() == [784 % 256, 784 % 256 + 1]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("train-images-idx3-ubyte", b"\0\0\x08\x01", "starts with 00000801, not with 00000803"),
        ("train-labels-idx1-ubyte", b"", "starts with nothing"),
        ("train-labels-idx1-ubyte", bytes((0, 0, 8, 1, 0, 0, 0, 9, 1, 2)), "holds 2 values where its header says 9"),
        ("t10k-labels-idx1-ubyte", bytes((0, 0, 8, 1, 0, 0, 0, 2, 1, 2)), "2 labels for the 10 images"),
        ("t10k-labels-idx1-ubyte", bytes((0, 0, 8, 1, 0, 0, 0, 10, *range(1, 11))), "holds label 10"),
        ("t10k-labels-idx1-ubyte.gz", b"no gzip", "cannot be read"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path, name, content, complaint):
    write_idx(tmp_path, compress=name.endswith(".gz"))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=f"{name} .*{complaint}"):
        open_dataset(settings(DataKind.fashion_mnist, tmp_path))


@pytest.mark.skipif(not any(fashion_mnist.SYSTEM_FOLDER.glob("*")), reason="dataset-fashion-mnist is not installed")
def test_fashion_mnist_of_the_package_manager_is_complete():
    found = open_dataset(settings(DataKind.fashion_mnist, val_fraction=0.05))
    assert sizes(found) == (57_000, 3_000, 10_000, "test")
    assert np.bincount(found.val.labels).tolist() == [300] * 10


def test_missing_files_are_told_with_places_and_ways_out(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", tmp_path / "system")
    with pytest.raises(ConfigError) as caught:
        open_dataset(settings(DataKind.fashion_mnist, tmp_path))
    for part in (str(tmp_path / "system"), "apt-get install dataset-fashion-mnist", "data.root=", "data.download=true"):
        assert part in str(caught.value)


@pytest.mark.parametrize("kind", [DataKind.cifar10, DataKind.cifar100, DataKind.flowers102])
@pytest.mark.parametrize("damaged", [False, True])
def test_a_set_of_torchvision_that_is_missing_or_damaged_is_told_the_same_way(tmp_path, kind, damaged):
    folder = {DataKind.cifar10: "cifar-10-batches-py", DataKind.cifar100: "cifar-100-python"}.get(kind, "flowers-102")
    if damaged:
        (tmp_path / folder).mkdir()
    state = "lacks files or is damaged" if damaged else "is missing"
    with pytest.raises(
        ConfigError, match=f"data={kind.value} .*{folder}/, which {state}; looked in {tmp_path}.*download"
    ):
        open_dataset(settings(kind, tmp_path))
    assert list(tmp_path.iterdir()) == ([tmp_path / folder] if damaged else [])


@pytest.fixture
def datasets():
    return pytest.importorskip("datasets", reason="the extra is not installed: pip install 'deit[hf]'")


def table(datasets, labels, folder: Path, **features):
    """A table of ten red images, grey at the odd rows, with ``labels``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(folder / f"{row}.png") for row in range(10)]
    for row, path in enumerate(paths):
        Image.new("L" if row % 2 else "RGB", (6, 4), 9 if row % 2 else RED).save(path)
    made = datasets.Dataset.from_dict({"image": paths, "label": labels, "other": list(range(10))})
    for name, feature in {"image": datasets.Image(), **features}.items():
        made = made.cast_column(name, feature)
    return made


def test_a_saved_hugging_face_dataset_is_read_with_its_class_names(datasets, tmp_path):
    names = datasets.ClassLabel(names=["a", "b"])
    made = table(datasets, [0, 1] * 5, tmp_path, label=names)
    datasets.DatasetDict({"train": made, "validation": made}).save_to_disk(tmp_path / "both")
    made.save_to_disk(tmp_path / "single")
    both = open_dataset(settings(DataKind.hf, path=str(tmp_path / "both")))
    assert sizes(both) == (10, 10, 10, "val") and both.classes == ("a", "b")
    assert sizes(open_dataset(settings(DataKind.hf, path=str(tmp_path / "single")))) == (6, 2, 2, "test")
    source = pickle.loads(pickle.dumps(both.train.source))
    assert [source.image(np.int64(row)).getpixel((0, 0)) for row in (0, 1)] == [RED, (9, 9, 9)]
    assert source.describe(3).endswith("both/train[3]") and source.labels.tolist() == [0, 1] * 5


def test_a_table_names_no_file_outside_of_itself(datasets, tmp_path):
    paths = datasets.Value("string")
    table(datasets, [0, 1] * 5, tmp_path / "elsewhere", image=paths).save_to_disk(tmp_path / "set")
    found = open_dataset(settings(DataKind.hf, path=str(tmp_path / "set")))
    with pytest.raises(ImageError, match=r"names .*elsewhere.*outside of the set"):
        found.train.source.image(0)


def test_a_folder_of_images_is_read_through_hugging_face(datasets, tmp_path):
    tree(tmp_path / "set" / "train")
    (tmp_path / "set" / "train" / "cat" / "000.jpg").write_bytes(b"no image")
    found = open_dataset(settings(DataKind.hf, tmp_path / "cache", path=str(tmp_path / "set")))
    assert sizes(found) == (14, 2, 4, "test") and found.classes == ("cat", "dog")
    with pytest.raises(ImageError, match=r"train\[0\], .*000\.jpg: cannot be decoded"):
        found.train.source.image(0)


@pytest.mark.parametrize(
    ("labels", "declared", "classes"),
    [([0, 2] * 5, None, ("0", "1", "2")), ([0, 2] * 5, 4, ("0", "1", "2", "3")), (["x", "b"] * 5, None, ("b", "x"))],
)
def test_classes_without_names_are_counted_or_declared(datasets, tmp_path, labels, declared, classes):
    table(datasets, labels, tmp_path).save_to_disk(tmp_path / "set")
    found = open_dataset(settings(DataKind.hf, path=str(tmp_path / "set"), num_classes=declared))
    assert found.classes == classes
    assert found.train.source.labels[:2].tolist() == ([1, 0] if labels[0] == "x" else [0, 2])


def test_a_test_split_without_labels_is_left_aside(datasets, tmp_path):
    splits = {"train": [0, 1] * 5, "val": [0, 1] * 5, "test": [-1] * 10}
    made = {split: table(datasets, labels, tmp_path) for split, labels in splits.items()}
    datasets.DatasetDict(made).save_to_disk(tmp_path / "set")
    assert sizes(open_dataset(settings(DataKind.hf, path=str(tmp_path / "set")))) == (10, 10, 10, "val")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"image_column": "img"}, r"data\.image_column=img is no column.*image, label, other"),
        ({"label_column": "target"}, r"data\.label_column=target is no column.*image, label, other"),
        ({"image_column": "other"}, r"data\.image_column=other holds .*not images"),
        ({"num_classes": 2}, r"labels outside its 2 classes: 2"),
    ],
)
def test_a_column_that_is_not_what_it_should_be_is_told(datasets, tmp_path, values, complaint):
    table(datasets, [0, 2] * 5, tmp_path).save_to_disk(tmp_path / "set")
    with pytest.raises(ConfigError, match=complaint):
        open_dataset(settings(DataKind.hf, path=str(tmp_path / "set"), **values))


def test_a_name_of_the_hub_is_not_fetched_unless_allowed(datasets, tmp_path):
    with pytest.raises(ConfigError, match=r"data\.path=nobody/nothing cannot be opened.*data\.download=true"):
        open_dataset(settings(DataKind.hf, tmp_path, path="nobody/nothing"))


def test_hugging_face_without_its_package_or_a_path_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install 'deit\[hf\]'"):
        open_dataset(settings(DataKind.hf, path="any"))
    with pytest.raises(ConfigError, match=r"pass data\.path="):
        open_dataset(settings(DataKind.hf))
