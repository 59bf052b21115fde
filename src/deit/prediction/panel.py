"""One picture of an answer: the photograph, where the network looked, and what each head said. Lengths in pixels."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from deit.config.errors import printable
from deit.prediction.answering import HEADS, Answer, Guess, Look
from deit.prediction.overlays import COLOURS, in_photo, overlay

MARGIN, GAP = 24, 16
NARROWEST = 250
"""Of a column, so that its title and names of classes have room."""
INK, FAINT, BAR = "#1a1b1c", "#6b6e70", "#0072b2"
TITLE, TEXT, SMALL = 20, 16, 14
LINE = 22
"""From one line of text to the next."""
BAR_HEIGHT = 6


@cache
def font(size: int, *, bold: bool = False, text: str = "") -> ImageFont.FreeTypeFont:
    """matplotlib's own font, which has the letters of most alphabets; else an installed one with those of ``text``."""
    own = str(Path(matplotlib.get_data_path()) / f"fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf")
    letters = {ord(letter) for letter in text}
    if letters <= _letters(own):
        return ImageFont.truetype(own, size)
    installed = sorted(font_manager.findSystemFonts(), key=lambda file: ("Regular" not in file, file))
    return ImageFont.truetype(next((file for file in installed if letters <= _letters(file)), own), size)


@cache
def _letters(file: str) -> frozenset[int]:
    """What a font has, as code points; nothing where it cannot be read, or not be drawn in any size, as emoji."""
    try:
        face = FT2Font(file)
    except (RuntimeError, OSError):
        return frozenset()
    return frozenset(face.get_charmap()) if face.scalable else frozenset()


def panel(answer: Answer, look: Look) -> Image.Image:
    """Photo and overlays side by side under their titles, the heads' classes and probabilities below."""
    tiles = {"photograph": look.photo}
    for name, attention in look.maps.items():
        on_photo = in_photo(attention, look.place, look.photo.height, look.photo.width)
        tiles[name] = overlay(look.photo, on_photo)
    columns = max(len(tiles), len(answer.heads))
    pitch = max(NARROWEST, look.photo.width) + GAP
    face = font(TITLE, bold=True, text=f"…{printable(answer.image)}")
    title = shortened(printable(answer.image), face, columns * pitch - GAP)
    legends = [_legend(head, guesses, pitch - GAP) for head, guesses in answer.heads.items()]
    below = MARGIN + TITLE + GAP + LINE + look.photo.height + GAP
    size = (2 * MARGIN + columns * pitch - GAP, below + LINE + GAP + max(one.height for one in legends) + MARGIN)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, MARGIN), title, INK, face, anchor="lt")
    for number, (name, tile) in enumerate(tiles.items()):
        x = MARGIN + number * pitch
        draw.text((x, MARGIN + TITLE + GAP), name, FAINT, font(TEXT), anchor="lt")
        picture.paste(tile, (x, MARGIN + TITLE + GAP + LINE))
    _scale(picture, draw, below)
    for number, legend in enumerate(legends):
        picture.paste(legend, (MARGIN + number * pitch, below + LINE + GAP))
    return picture


def _scale(picture: Image.Image, draw: ImageDraw.ImageDraw, top: int) -> None:
    """What the colours mean, in one line."""
    colours = matplotlib.colormaps[COLOURS](np.linspace(0, 1, 120))[None, :, :3]
    draw.text((MARGIN, top), "attention: least", FAINT, font(SMALL), anchor="lt")
    x = MARGIN + round(font(SMALL).getlength("attention: least ")) + 4
    picture.paste(Image.fromarray((colours * 255).astype(np.uint8)).resize((120, SMALL)), (x, top))
    draw.text((x + 128, top), "most      dark: outside what the network saw", FAINT, font(SMALL), anchor="lt")


def _legend(head: str, guesses: Sequence[Guess], width: int) -> Image.Image:
    """A head's classes with bars as long as they are probable; long names take several lines."""
    share = round(font(TEXT).getlength("100.0 %")) + GAP
    face = font(TEXT, text="".join(printable(guess.name) for guess in guesses))
    rows = [(wrapped(printable(guess.name), face, width - share), guess.probability) for guess in guesses]
    height = LINE + 8 + sum(len(lines) * LINE + BAR_HEIGHT + 10 for lines, _ in rows)
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((0, 0), shortened(HEADS[head], font(TEXT, bold=True), width), INK, font(TEXT, bold=True), anchor="lt")
    y = LINE + 8
    for lines, probability in rows:
        draw.text((width, y), f"{probability:.1%}".replace("%", " %"), INK, font(TEXT), anchor="rt")
        for line in lines:
            draw.text((0, y), line, INK, face, anchor="lt")
            y += LINE
        draw.rectangle((0, y, width - 1, y + BAR_HEIGHT - 1), "#e8eaec")
        if (length := round(probability * width)) > 0:
            draw.rectangle((0, y, length - 1, y + BAR_HEIGHT - 1), BAR)
        y += BAR_HEIGHT + 10
    return picture


def wrapped(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """``text`` in lines of at most ``width``, broken after a blank, hyphen or underscore, or anywhere if need be."""
    lines = [""]
    for part in re.findall(r"[^\s_-]*[\s_-]?", text):
        if lines[-1] and face.getlength((lines[-1] + part).rstrip()) > width:
            lines.append("")
        for letter in part:
            if face.getlength((lines[-1] + letter).rstrip()) > width:
                lines.append("")
            lines[-1] += letter
    return [line.rstrip() for line in lines]


def shortened(text: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    """``text`` within ``width``: the end of a path says more than its beginning."""
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(f"…{text}") > width:
        text = text[1:]
    return f"…{text}"
