"""Attention lies on the photograph where the network looked, and its picture shows everything that was said."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import font_manager
from PIL import Image

from deit.config.material import Data
from deit.data.views import EvalView, Place
from deit.prediction.answering import Answer, Guess, Look
from deit.prediction.overlays import AREA, LONGEST, in_photo, overlay, reduced
from deit.prediction.panel import GAP, MARGIN, NARROWEST, font, panel, shortened, wrapped

LONG = (
    "Rhinolophus_ferrumequinum of a place whose name is long, longer-than-others and Donaudampfschifffahrtsgesellschaft"
)


def one_patch(row: int, column: int) -> torch.Tensor:
    """7 x 7 patches of which one has all the attention."""
    attention = torch.zeros(7, 7)
    attention[row, column] = 1
    return attention


@pytest.mark.parametrize(("height", "width"), [(200, 300), (300, 200), (90, 90), (50, 800)])
@pytest.mark.parametrize("crop", [0.875, 1.0])
@pytest.mark.parametrize("patch", [(0, 0), (1, 5), (6, 3)])
def test_the_brightest_place_is_the_patch_that_was_looked_at(
    height: int, width: int, crop: float, patch: tuple[int, int]
) -> None:
    place = EvalView(Data(), image_size=28, crop=crop).place(height, width)
    on_photo = in_photo(one_patch(*patch), place, height, width)
    row, column = np.argwhere(on_photo == np.nanmax(on_photo)).mean(axis=0)
    side = crop * min(height, width) / 7  # of a patch in the photo: the view is the central square
    expected = [(whole - 7 * side) / 2 + (at + 0.5) * side for whole, at in zip((height, width), patch, strict=True)]
    assert abs(row - expected[0]) < side / 2
    assert abs(column - expected[1]) < side / 2
    on_black = np.asarray(overlay(Image.new("RGB", (width, height)), on_photo)).sum(axis=-1)
    assert on_black[round(row), round(column)] >= 0.98 * on_black.max()


def test_a_map_is_smooth_and_spans_its_range_whatever_all_patches_share() -> None:
    attention = torch.linspace(0.5, 0.6, 49).view(7, 7)
    on_photo = in_photo(attention, Place(0.0, 0.0, 1.0, 1.0), 140, 140)
    assert (on_photo.min(), on_photo.max()) == (0, 1)
    assert np.abs(np.diff(on_photo, axis=0)).max() < 0.05
    evenly = in_photo(torch.full((7, 7), 1 / 49), Place(0.0, 0.0, 1.0, 1.0), 140, 140)
    assert evenly.max() < 0.01, "no patch stands out, whatever rounding makes of it"


def test_outside_the_view_the_photograph_is_dark_and_has_no_colour() -> None:
    photo = Image.new("RGB", (300, 200), (200, 100, 50))
    on_photo = in_photo(torch.rand(7, 7), Place(0.0, 1 / 6, 1.0, 2 / 3), 200, 300)
    assert np.isnan(on_photo[:, :50]).all() and np.isnan(on_photo[:, 250:]).all()
    assert not np.isnan(on_photo[:, 50:250]).any()
    pixels = np.asarray(overlay(photo, on_photo)).astype(int)
    assert pixels[:, :50].max() - pixels[:, :50].min() == 0
    assert pixels[:, :50].max() < pixels[:, 50:250].min(axis=(0, 1)).max()


@pytest.mark.parametrize("size", [(4000, 3000), (30, 20), (1, 5000), (5000, 1), (640, 640)])
def test_photos_are_shown_at_a_size_for_a_screen(size: tuple[int, int]) -> None:
    width, height = reduced(Image.new("RGB", size)).size
    assert width * height <= 1.02 * AREA
    assert max(width, height) <= LONGEST
    assert width * height >= 0.98 * AREA or max(width, height) == LONGEST


@pytest.mark.parametrize("size", [(420, 420), (40, 800), (800, 60)])
@pytest.mark.parametrize("heads", [("class",), ("class", "distill", "fused", "teacher")])
def test_a_panel_has_a_column_for_each_map_and_head(size: tuple[int, int], heads: tuple[str, ...]) -> None:
    photo = Image.new("RGB", size, "green")
    look = Look(
        photo, Place(0.1, 0.1, 0.8, 0.8), {"class token": torch.rand(7, 7), "attention rollout": torch.rand(7, 7)}
    )
    guesses = [Guess(0, "short", 0.75), Guess(1, LONG, 0.25)]
    made = panel(Answer("photo.jpg", {head: guesses for head in heads}, look), look)
    columns = max(3, len(heads))
    assert made.width == 2 * MARGIN + columns * (max(NARROWEST, size[0]) + GAP) - GAP
    pixels = np.asarray(made)
    for edge in (pixels[:MARGIN], pixels[-MARGIN:], pixels[:, :MARGIN], pixels[:, -MARGIN:]):
        assert (edge == 255).all(), "nothing is cut off"
    assert (pixels == np.array([0, 128, 0])).all(axis=-1).sum() == size[0] * size[1], "the photo itself, once"


@pytest.mark.parametrize("width", [60, 120, 400, 2000])
def test_long_names_are_wrapped_within_their_width_and_lose_no_letter(width: int) -> None:
    lines = wrapped(LONG, font(16), width)
    assert all(font(16).getlength(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == LONG.replace(" ", "")
    assert all(lines)
    assert wrapped("a_b c-d", font(16), 10_000) == ["a_b c-d"]


def test_letters_that_matplotlibs_font_lacks_are_drawn_with_an_installed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    stix = str(folder / "STIXSizOneSymReg.ttf")
    lacking = "\u23b0"  # half of a brace
    installed = [str(folder / "missing.ttf"), str(folder / "cmb10.ttf"), stix]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: installed)
    font.cache_clear()
    assert [Path(str(font(16, text=text).path)).name for text in ("ä β", lacking)] == [
        "DejaVuSans.ttf",
        Path(stix).name,
    ]
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    font.cache_clear()
    assert Path(str(font(16, text=lacking).path)).name == "DejaVuSans.ttf", "boxes, and no error"
    font.cache_clear()


def test_of_a_long_path_the_end_is_shown() -> None:
    text = shortened("folder/" * 50 + "photo.jpg", font(20), 300)
    assert text.startswith("…") and text.endswith("folder/photo.jpg")
    assert font(20).getlength(text) <= 300
    assert shortened("photo.jpg", font(20), 300) == "photo.jpg"
