"""ImageNet in each form in which it is downloaded: the steps that are told make folders of it."""

import io
import shlex
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from torchvision.datasets import imagenet

from deit.config.imagenet_forms import problem

SYNSETS = ("n01440764", "n01443537")
SPLITS = ("train", "val")
KIT = "ILSVRC2012_devkit_t12.tar.gz"


def lay(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def pack(archive: Path, files: dict[str, bytes]) -> bytes:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz" if archive.suffix == ".gz" else "w") as made:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    return archive.read_bytes()


def lay_originals(root: Path) -> None:
    """Training images as an archive of archives, validation images as one without folders."""
    inner = {
        f"{name}.tar": pack(root / f"{name}.tar", {f"{name}_{i}.JPEG": b"x" for i in range(2)}) for name in SYNSETS
    }
    pack(root / "ILSVRC2012_img_train.tar", inner)
    for name in inner:
        (root / name).unlink()
    pack(root / "ILSVRC2012_img_val.tar", {f"ILSVRC2012_val_0000000{i}.JPEG": b"x" for i in (1, 2)})


def lay_table(root: Path) -> None:
    rows = [f"ILSVRC2012_val_0000000{i + 1},{name} 1 2 3 4 {name} 5 6 7 8" for i, name in enumerate(SYNSETS)]
    (root / "LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *rows, ""]))


def lay_kaggle(root: Path, below: str = "ILSVRC/Data/CLS-LOC") -> None:
    lay(root / below, *(f"train/{name}/{name}_1.JPEG" for name in SYNSETS), "test/ILSVRC2012_test_1.JPEG")
    lay(root / below, *(f"val/ILSVRC2012_val_0000000{i}.JPEG" for i in (1, 2)))
    lay_table(root)


def follow(told: str) -> None:
    """Run every command that was told."""
    for step in told.partition(". ")[2].split(" Then "):
        if step.lower().startswith("type "):
            command = step[5:].removesuffix(".").partition(" and pass data.root=")[0]
            subprocess.run(["bash", "-ec", command.removesuffix(" and the same command again")], check=True)


def is_sorted(root: Path) -> bool:
    return all(any((root / split / name).glob("*.JPEG")) for split in SPLITS for name in SYNSETS)


def test_the_usual_folders_and_those_of_torchvision_are_read_as_they_are(tmp_path: Path) -> None:
    lay(tmp_path, *(f"{split}/{name}/1.JPEG" for split in SPLITS for name in SYNSETS))
    assert problem(tmp_path, SPLITS) is None
    lay(tmp_path, "meta.bin", KIT, "ILSVRC2012_img_train.tar", "test/1.JPEG")
    assert problem(tmp_path, SPLITS) is None
    assert problem(tmp_path / "nowhere", SPLITS) is None


@pytest.mark.parametrize("typed", ["", "ILSVRC2012_img_train.tar"])
def test_the_originals_become_folders_by_what_is_told(tmp_path: Path, typed: str) -> None:
    lay_originals(tmp_path)
    told = problem(tmp_path / typed, SPLITS)
    assert told is not None and "mkdir" in told and "cat" not in told
    follow(told)
    again = problem(tmp_path, SPLITS)
    assert again is not None and KIT in again and "LOC_val_solution.csv" in again, "no label is there yet"
    lay_table(tmp_path)
    again = problem(tmp_path, SPLITS)
    assert again is not None
    follow(again)
    assert is_sorted(tmp_path) and problem(tmp_path, SPLITS) is None


def test_with_the_development_kit_torchvision_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_originals(tmp_path)
    lay(tmp_path, KIT)
    told = problem(tmp_path, SPLITS)
    assert told is not None and told.count("from torchvision.datasets import ImageNet") == 2
    (tmp_path / "ILSVRC2012_img_val.tar").unlink()
    lay(tmp_path, "val/ILSVRC2012_val_00000001.JPEG")
    told = problem(tmp_path, ("val",))
    assert told is not None and "img_train" not in told.partition("Type")[2]
    monkeypatch.setattr(imagenet, "parse_devkit_archive", lambda root: None)
    monkeypatch.setattr(imagenet, "load_meta_file", lambda root: ({}, ["n01440764"]))
    exec(shlex.split(told.partition("Type ")[2].removesuffix("."))[2], {})
    assert [path.name for path in (tmp_path / "val").rglob("*.JPEG")] == ["ILSVRC2012_val_00000001.JPEG"]
    assert (tmp_path / "val/n01440764/ILSVRC2012_val_00000001.JPEG").is_file()


@pytest.mark.parametrize("typed", ["", "ILSVRC", "ILSVRC/Data/CLS-LOC"])
def test_kaggles_validation_images_are_sorted_by_its_table(tmp_path: Path, typed: str) -> None:
    lay_kaggle(tmp_path)
    told = problem(tmp_path / typed, SPLITS)
    assert told is not None
    follow(told)
    assert is_sorted(tmp_path / "ILSVRC/Data/CLS-LOC")
    assert problem(tmp_path / "ILSVRC/Data/CLS-LOC", SPLITS) is None
    inner = problem(tmp_path, SPLITS)
    assert inner is not None and f"ass data.root={tmp_path}/ILSVRC/Data/CLS-LOC" in inner


def test_archives_that_the_hub_once_had_become_folders(tmp_path: Path) -> None:
    for split, archive in (("train", "train_images_0"), ("val", "val_images")):
        pack(tmp_path / "data" / f"{archive}.tar.gz", {f"{split}_1_{name}.JPEG": b"x" for name in SYNSETS})
    told = problem(tmp_path, SPLITS)
    assert told is not None
    follow(told)
    assert is_sorted(tmp_path) and problem(tmp_path, SPLITS) is None


def test_a_zip_archive_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "imagenet.zip", "w") as made:
        for split in SPLITS:
            for name in SYNSETS:
                made.writestr(f"{split}/{name}/1.JPEG", b"x")
    for typed in ("", "imagenet.zip"):
        told = problem(tmp_path / typed, SPLITS)
        assert told is not None and f"ype unzip {tmp_path}/imagenet.zip" in told


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["data/train-00000-of-00294.parquet"], "Pass data=hf data.path={root}"),
        (["imagenet1k-train-0000.tar"], "data.image_column=jpg data.label_column=cls"),
        (["train-00000-of-01024"], "TFRecord"),
        ([f"{name}/1.JPEG" for name in SYNSETS], "the class folders of train"),
        ([f"imagenet/{s}/{name}/1.JPEG" for s in SPLITS for name in SYNSETS], "Pass data.root={root}/imagenet."),
    ],
)
def test_other_forms_are_told_what_reads_them(tmp_path: Path, names: list[str], told: str) -> None:
    said = problem(lay(tmp_path, *names), SPLITS)
    assert said is not None and told.format(root=tmp_path) in said
