"""Facts about folders: which of them are splits, which are classes, and which images are found below them."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deit.config import rules
from deit.config.errors import visible
from deit.config.image_files import images_below, images_of
from deit.config.layout import class_names, split_folders
from deit.config.layout_problems import folder_problems
from deit.config.own_data import look, remarks
from deit.config.schema import Config

Lay = Callable[..., Path]


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    def make(*names: str) -> Path:
        for name in names:
            (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / name).write_bytes(b"")
        return tmp_path / "set"

    return make


def two(*folders: str) -> list[str]:
    """An image of each of two classes in each of ``folders``."""
    return [f"{folder}/{name}/1.jpg" for folder in folders for name in ("cat", "dog")]


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Train", "Validation", "Test"),
        ("TRAIN", "VALID", "TESTING"),
        ("training", "dev", "testing"),
        ("train_set", "val_set", "test_set"),
        ("TrainingSet", "ValidationSet", "HoldOut"),
        ("train-images", "eval", "Test Data"),
        ("train2017", "val2017", "test2017"),
        ("seg_train", "seg_val", "seg_test"),
        ("cats-and-dogs train", "cats-and-dogs valid", "cats-and-dogs test"),
    ],
)
def test_splits_are_known_by_their_usual_names_in_any_case(lay: Lay, train: str, val: str, test: str) -> None:
    root = lay(*two(train, val, test))
    assert {split: path.name for split, path in split_folders(root).items()} == {
        "train": train,
        "val": val,
        "test": test,
    }
    assert class_names(str(root)) == ("cat", "dog")
    assert list(folder_problems(str(root))) == []


@pytest.mark.parametrize(
    "names",
    [
        ("car", "plane", "train"),
        ("exam", "quiz", "test"),
        ("train", "val", "zebra"),
        ("Dev", "Ops"),
        ("model_train", "steam_train"),
        ("steam_engine", "steam_train"),
        ("class-test", "class-train"),
    ],
)
def test_a_class_may_be_called_like_a_split(lay: Lay, names: tuple[str, ...]) -> None:
    root = lay(*(f"{name}/1.jpg" for name in names))
    assert class_names(str(root)) == names and split_folders(root) == {}
    assert list(folder_problems(str(root))) == []


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ["car/1.jpg", "plane/1.jpg", "train/steam/1.jpg", "train/diesel/1.jpg"],
            ["train/ for train", "car/, plane/ for nothing", "mv {root}/train {root}/class-train"],
        ),
        (
            [*two("train", "val"), "cat/1.jpg", "dog/1.jpg"],
            ["train/ for train, val/ for val", "cat/, dog/ for nothing"],
        ),
        (two("train", "val", "Validation"), ["one folder for val, got Validation/, val/"]),
        (two("Train", "train"), ["one folder for train, got Train/, train/"]),
        ([*two("train"), "test/1.jpg"], ["1 images lie in {root}/test itself, without a class", "src/predict.py"]),
        (["train/1.jpg", "test/1.jpg"], ["{root}/train has 0 class folders", "mv {root}/train {root}/class-train"]),
        (
            ["cat/train/1.jpg", "cat/test/1.jpg", "dog/train/1.jpg", "dog/test/1.jpg"],
            ["splits above classes, got test/"],
        ),
        (two("val", "test"), ["has val/, test/ but no train"]),
        ([*two("train", "val"), "val/fox/1.jpg"], ["{root}/val has classes that train has not: fox"]),
        (two("archive/train", "archive/val"), ["pass data.root={root}/archive"]),
        (two("train/train"), ["mv {root}/train/train/* {root}/train/"]),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused_with_what_is_taken_for_what(
    lay: Lay, config: Callable[..., Config], names: list[str], told: list[str]
) -> None:
    root = lay(*names)
    said = "\n".join(rules.problems(config("data=folder", f"data.root={root}")))
    assert all(text.format(root=root) in said for text in told), said


@pytest.mark.parametrize(
    "names",
    [
        ["car/1.jpg", "plane/1.jpg", "train/steam/1.jpg", "train/diesel/1.jpg"],
        ["cat/train/1.jpg", "cat/test/1.jpg", "dog/train/1.jpg", "dog/test/1.jpg"],
        two("train/train"),
        [*(f"train/{name}/1.jpg" for name in ("n1", "n2")), "val/images/1.jpg", "val/images/2.jpg"],
    ],
)
def test_what_is_to_be_typed_helps(lay: Lay, names: list[str]) -> None:
    root = lay(*names)
    if (root / "val").is_dir():
        (root / "val/val_annotations.txt").write_text("1.jpg\tn1\t0\n2.jpg\tn2\t0\n")
    said = next(folder_problems(str(root)))
    command = (
        said.rpartition("ype ")[2].removesuffix(": a class-… is never a split.").partition(" and pass data.root=")[0]
    )
    subprocess.run(["bash", "-ec", command], check=True)
    class_names.cache_clear()
    mended = Path(f"{root}-splits") if Path(f"{root}-splits").is_dir() else root
    assert list(folder_problems(str(mended))) == []
    assert sum(map(len, images_of([mended]))) == len(names)


def found(root: Path) -> dict[str, int]:
    return look(str(root)).counts


def test_each_real_folder_is_walked_once_and_links_that_lead_up_end(lay: Lay) -> None:
    root = lay(*two("train", "val"), "train/cat/deep/2.jpg")
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "3.jpg").touch()
    links = {
        "again": "../cat",
        "up": "../..",
        "top": "/",
        "other": "../dog",
        "held": "../../val/dog",
        "more": elsewhere,
    }
    for name, target in links.items():
        (root / "train/cat" / name).symlink_to(target)
    (root / "train/dog/more").symlink_to(elsewhere)
    (root / "val/cat/itself").symlink_to("itself")
    assert list(folder_problems(str(root))) == []
    class_names.cache_clear()
    assert found(root) == {"cat": 4, "dog": 2}  # of train and val; what links lead to is of the first class
    assert [path.relative_to(root).as_posix() for path in images_below(root / "train/cat")] == [
        "train/cat/1.jpg",
        "train/cat/deep/2.jpg",
        "train/cat/held/1.jpg",
        "train/cat/more/3.jpg",
        "train/cat/other/1.jpg",
    ]


def test_two_names_of_one_class_folder_are_refused(lay: Lay) -> None:
    root = lay("cat/1.jpg", "dog/1.jpg")
    (root / "lion").symlink_to("cat")
    (problem,) = folder_problems(str(root))
    assert "got cat/, lion/, which are one" in problem


def test_what_systems_make_is_passed_over_at_any_depth_and_named(lay: Lay) -> None:
    root = lay("cat/1.jpg", "dog/in/2.jpg", "loose.jpg")
    passed = ("__MACOSX", ".thumbnails", "@eaDir", "#recycle", ".ipynb_checkpoints", "Thumbs", "$RECYCLE.BIN")
    for place in ("", "cat", "dog/in"):
        lay(*(f"{place or '.'}/{name}/below/1.jpg" for name in passed), f"{place or '.'}/._1.jpg")
    assert class_names(str(root)) == ("cat", "dog") and list(folder_problems(str(root))) == []
    assert found(root) == {"cat": 1, "dog": 1}
    said = "\n".join(remarks(look(str(root))))
    assert f"of no class and not used: 1 in {root} itself, {root}/#recycle" in said


def test_a_folder_of_specks_is_remarked(lay: Lay) -> None:
    from PIL import Image

    root = lay(*(f"{name}/{number}.png" for name in ("cat", "dog") for number in range(5)))
    for file in images_below(root):
        Image.new("RGB", (1, 1)).save(file)
    assert any("a short side of 1 pixels shows next to nothing" in text for text in remarks(look(str(root))))


def test_names_of_any_bytes_are_told_on_one_line_of_printable_letters(lay: Lay) -> None:
    strange = os.fsdecode(b"caf\xe9\n\x1b[31m") + "\u202egpj"
    root = lay("cat/1.jpg", f"{strange}/note.txt")
    (problem,) = folder_problems(str(root))
    assert problem.isprintable() and r"caf\xe9\n\x1b[31m\u202egpj" in problem
    assert visible("Ünï çødé 猫") == "Ünï çødé 猫"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["data.root=photos"], "Pass data=folder data.root=photos"),
        (["data.path=photos"], "Pass data=hf data.path=photos"),
        (["data=folder", "data.root=.", "data.path=photos"], "data.path must be left out with data=folder"),
        (["data=cifar10", "data.image_column=img"], "data=hf data.image_column=img data.path=<dataset>"),
        (["data.label_column=y"], "data.label_column must be left out with data=digits"),
        (["data=folder", "data.root=.", "data.download=true"], "data.download must be left out with data=folder"),
    ],
)
def test_a_setting_that_the_data_do_not_read_is_refused(
    config: Callable[..., Config], settings: list[str], told: str
) -> None:
    assert any(told in problem for problem in rules.problems(config(*settings)))


def test_the_cache_of_a_local_table_need_not_be_there(config: Callable[..., Config], tmp_path: Path) -> None:
    given = ("data=hf", f"data.root={tmp_path / 'cache'}")
    assert not any("data.root" in text for text in rules.problems(config(*given, f"data.path={tmp_path}")))
    assert any("is not a folder" in text for text in rules.problems(config(*given, "data.path=somebody/something")))
