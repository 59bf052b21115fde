"""The identity of a dataset: the same wherever it lies, and otherwise a list of what is different."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deit.config import layout
from deit.config.schema import Config
from deit.data import identity
from deit.data.identity import differences, digest_of, identity_of
from deit.data.sources import open_dataset

CLASSES = ("ant", "bee")
SHARES = ("data.test_fraction=0.3", "data.val_fraction=0.3")  # no class would be without one of its own


def photographs(root: Path, each: int = 12) -> Path:
    for number in range(len(CLASSES) * each):
        file = root / CLASSES[number % 2] / f"{number:02d}.bmp"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(file)  # all of the same size in bytes
    return root


@pytest.fixture
def identify(config: Callable[..., Config]) -> Callable[..., identity.Identity]:
    def identify(root: Path, *settings: str) -> identity.Identity:
        layout.class_names.cache_clear()
        return identity_of(open_dataset(config("data=folder", f"data.root={root}", *SHARES, *settings).data))

    return identify


def swap(root: Path) -> None:
    (root / "ant").rename(root / "x")
    (root / "bee").rename(root / "ant")
    (root / "x").rename(root / "bee")


def rename_alike(root: Path) -> None:
    """Give the images of both classes the same names."""
    for name in CLASSES:
        for number, file in enumerate(sorted((root / name).iterdir())):
            file.rename(root / name / f"same{number:02d}.bmp")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[100] ^= 255
    file.write_bytes(content)


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "added": (
        lambda root: [(root / "bee" / f"{n}.bmp").write_bytes(b"BM") for n in range(90, 95)],
        ["5 images added: bee/90.bmp, bee/91.bmp, bee/92.bmp and 2 more"],
    ),
    "gone": (lambda root: (root / "ant/04.bmp").unlink(), ["1 image gone: ant/04.bmp"]),
    "renamed": (
        lambda root: (root / "ant/04.bmp").rename(root / "ant/z.bmp"),
        ["1 image renamed: ant/04.bmp -> ant/z.bmp"],
    ),
    "relabelled": (
        lambda root: (root / "ant/04.bmp").rename(root / "bee/04.bmp"),
        ["1 image relabelled: ant/04.bmp -> bee/04.bmp"],
    ),
    "rewritten": (lambda root: flip(root / "bee/05.bmp"), ["1 image with other content: bee/05.bmp"]),
    "class added": (
        lambda root: photographs(root / "more", 1) and (root / "more/bee").rename(root / "cow"),
        ["2 classes added: cow, more", "2 images added: cow/01.bmp, more/ant/00.bmp"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_named(change: str, identify: Callable[..., identity.Identity], tmp_path: Path) -> None:
    root = photographs(tmp_path / "photos")
    before = identify(root)
    assert differences(before, identify(root.rename(tmp_path / "moved"))) == []
    root = (tmp_path / "moved").rename(root)
    apply, expected = CHANGES[change]
    apply(root)
    after = identify(root)
    assert differences(before, after) == expected
    assert digest_of(before) != digest_of(after)


def test_swapped_classes_are_noticed_though_names_and_sizes_are_the_same(
    identify: Callable[..., identity.Identity], tmp_path: Path
) -> None:
    root = photographs(tmp_path / "photos")
    swap(root)
    assert differences(identify(photographs(tmp_path / "as it was")), identify(root)) == [
        "24 images relabelled: ant/00.bmp -> bee/00.bmp, ant/02.bmp -> bee/02.bmp, ant/04.bmp -> bee/04.bmp and 21 more"
    ]
    rename_alike(root)
    before = identify(root)
    swap(root)
    assert differences(before, identify(root)) == [
        "24 images with other content: ant/same00.bmp, ant/same01.bmp, ant/same02.bmp and 21 more"
    ]


def test_of_several_images_of_one_name_and_size_the_one_of_the_same_content_is_the_relabelled_one(
    identify: Callable[..., identity.Identity], tmp_path: Path
) -> None:
    root = photographs(tmp_path / "photos")
    before = identify(root)
    (root / "ant").rename(root / "zebra")
    (root / "aardvark").mkdir()
    for number, file in enumerate(sorted((root / "zebra").iterdir())):
        pixels = np.random.default_rng(100 + number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "aardvark" / file.name)
    assert differences(before, identify(root))[-2:] == [
        "12 images relabelled: ant/00.bmp -> zebra/00.bmp, ant/02.bmp -> zebra/02.bmp, ant/04.bmp -> zebra/04.bmp and 9"
        " more",
        "12 images added: aardvark/00.bmp, aardvark/02.bmp, aardvark/04.bmp and 9 more",
    ]


def test_of_many_images_the_classes_are_named(
    identify: Callable[..., identity.Identity], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "LISTED", 10)
    root = photographs(tmp_path / "photos")
    before = identify(root, "data.test_fraction=0.5")
    (root / "bee/99.bmp").write_bytes(b"BM")
    (line,) = differences(before, identify(root, "data.test_fraction=0.5"))
    assert line.startswith("class bee, ") and line.endswith(" images")
    (root / "bee/99.bmp").unlink()
    swap(root)
    assert any(
        "other images of the same number" in line or "->" in line for line in differences(before, identify(root))
    )


def test_another_split_is_another_identity(identify: Callable[..., identity.Identity], tmp_path: Path) -> None:
    root = photographs(tmp_path / "photos")
    before, after = identify(root), identify(root, "data.seed=1")
    assert all("in another split" in line for line in differences(before, after))
    fewer = identify(root, "data.train_fraction=0.5")
    assert "(unused)" in differences(before, fewer)[0]


def test_pixels_without_names_are_compared(config: Callable[..., Config]) -> None:
    dataset = open_dataset(config("data=digits").data)
    before = identity_of(dataset)
    assert differences(before, identity_of(open_dataset(config("data=digits").data))) == []
    dataset.train.source.pixels[dataset.test.indices[0], 3, 3] ^= 1  # type: ignore[attr-defined]
    label = dataset.classes[dataset.test.labels[0]]
    assert differences(before, identity_of(dataset)) == [f"class {label}, test: images with other content"]
