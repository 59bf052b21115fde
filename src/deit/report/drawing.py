"""Panels and matrices through matplotlib, as PNG and as SVG that a page can take in.

matplotlib is imported where it is used: a report without plots does not wait for it.
"""

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deit.report.seeds import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1a1b1c"
"""Text and axes; inside a page it becomes the colour of the text around it."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")
"""Okabe and Ito's, which colour-blind readers tell apart, on light and dark ground; violet and grey besides."""
MARKERS = "osD^vPX*"
MOST_SIDE_BY_SIDE = 2
"""Matrices; more would be too small to read."""
MOST_NAMES = 14
"""Lines that a legend names; more would hide the plot."""

STYLE = {
    "font.size": 8,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.titlesize": 9,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a dollar in a name is a dollar
}


@dataclass
class Line:
    """Points of one colour, joined or not."""

    name: str
    joined: bool = True
    points: list[tuple[float, Estimate]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """A text beside each point; empty for none."""

    def add(self, x: float, y: Estimate, name: str = "") -> None:
        self.points.append((x, y))
        self.names.append(name)


@dataclass
class Panel:
    """One pair of axes."""

    x: str
    y: str
    title: str = ""
    log: bool = False
    diagonal: bool = False
    """Whether to draw the line on which both are equal."""
    lines: list[Line] = field(default_factory=list)

    def line(self, name: str, *, joined: bool = True) -> Line:
        """The line of that name, a new one if need be."""
        found = next((line for line in self.lines if line.name == name), None)
        if found is None:
            found = Line(name, joined)
            self.lines.append(found)
        return found


def draw(panels: Sequence[Panel], *, salt: str) -> tuple[bytes, str, str]:
    """PNG, SVG for a file, and SVG for inside a page, of panels side by side."""
    from matplotlib.figure import Figure

    with _style({"svg.hashsalt": salt}):
        figure = Figure(figsize=(4.6 * len(panels), 3.4), layout="constrained")
        for panel, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
            _panel(panel, axes)
        return _saved(figure)


def _style(more: Mapping[str, object]) -> AbstractContextManager[None]:
    """`STYLE` and ``more``; the salt makes names inside an SVG the same each time and different between plots."""
    import matplotlib

    return matplotlib.rc_context({**STYLE, **more})  # pyright: ignore[reportArgumentType] - wants its own type of key


def _panel(panel: Panel, axes: "Axes") -> None:
    for number, line in enumerate(panel.lines):
        order = sorted(range(len(line.points)), key=lambda i: line.points[i][0])
        xs = [line.points[i][0] for i in order]
        ys = [line.points[i][1] for i in order]
        axes.errorbar(
            xs,
            [y.mean for y in ys],
            yerr=[y.half_width or 0.0 for y in ys] if any(y.half_width for y in ys) else None,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number // len(COLOURS) % len(MARKERS)],
            linestyle="-" if line.joined else "none",
            markersize=4,
            linewidth=1.2,
            capsize=2,
            label=line.name.removeprefix("_") if number < MOST_NAMES else None,  # matplotlib hides what begins with _
        )
        for i in order:
            if line.names[i] and line.names[i] not in line.names[:i]:  # once is enough
                at = (line.points[i][0], line.points[i][1].mean)
                axes.annotate(line.names[i], at, xytext=(4, 3), textcoords="offset points", fontsize=6)
    if panel.log:
        _log_scale(axes)
    if panel.diagonal:
        corner = (sum(axes.get_xlim()) / 2, sum(axes.get_xlim()) / 2)
        axes.axline(corner, slope=1, color=INK, linewidth=0.8, linestyle=":")
    axes.set(xlabel=panel.x, ylabel=panel.y, title=panel.title)
    axes.grid(alpha=0.25, linewidth=0.5)
    if len(panel.lines) > 1:
        axes.legend()


def _log_scale(axes: "Axes") -> None:
    """Ticks at 1, 2 and 5, written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def draw_matrices(
    names: Sequence[str], matrices: Mapping[str, Sequence[Sequence[float | None]]], *, salt: str
) -> tuple[bytes, str, str]:
    """The same for square matrices of shares, on one scale of colour, each figure written in its field."""
    from matplotlib.figure import Figure

    with _style({"svg.hashsalt": salt, "axes.spines.left": False, "axes.spines.bottom": False}):
        rows_of_plots, in_a_row = -(-len(matrices) // MOST_SIDE_BY_SIDE), min(len(matrices), MOST_SIDE_BY_SIDE)
        figure = Figure(figsize=(4.6 * in_a_row, 4.0 * rows_of_plots), layout="constrained")
        highest = max(value or 0.0 for rows in matrices.values() for row in rows for value in row) or 1.0
        places = figure.subplots(rows_of_plots, in_a_row, squeeze=False).flat
        for (title, rows), axes in zip(matrices.items(), places, strict=False):
            filled = [[float("nan") if value is None else value for value in row] for row in rows]
            axes.pcolormesh(filled, cmap="YlOrRd", vmin=0.0, vmax=highest)  # not imshow: a page takes in no bitmap
            for r, row in enumerate(rows):
                for c, value in enumerate(row):
                    if value is not None:
                        dark = value > 0.65 * highest
                        axes.text(
                            c + 0.5,
                            r + 0.5,
                            f"{value:.3f}",
                            ha="center",
                            va="center",
                            color="white" if dark else "black",
                        )
            centres = [number + 0.5 for number in range(len(names))]
            axes.set_xticks(centres, names, rotation=35, ha="right")
            axes.set_yticks(centres, names)
            axes.set(title=title, aspect="equal", ylim=(len(names), 0))
        for axes in figure.axes[len(matrices) :]:
            axes.remove()
        return _saved(figure)


def draw_differences(
    names: Sequence[str], series: Mapping[str, Sequence[Estimate | None]], *, x: str, salt: str
) -> str:
    """SVG for a file of differences and their intervals, a row a name, a colour a series, around a line at zero."""
    from matplotlib.figure import Figure

    with _style({"svg.hashsalt": salt, "axes.spines.left": False}):
        figure = Figure(figsize=(7.2, 0.3 * len(names) + 0.9), layout="constrained")
        axes = figure.subplots()
        for number, (name, estimates) in enumerate(series.items()):
            shift = 0.6 * ((number + 0.5) / len(series) - 0.5)  # the series of a row share six tenths of its height
            places = [(row + shift, one) for row, one in enumerate(estimates) if one is not None]
            axes.errorbar(
                [one.mean for _, one in places],
                [place for place, _ in places],
                xerr=[one.half_width or 0.0 for _, one in places],
                color=COLOURS[number % len(COLOURS)],
                marker=MARKERS[number % len(MARKERS)],
                linestyle="none",
                markersize=3.5,
                linewidth=1.0,
                label=name,
            )
        axes.axvline(0.0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", length=0)
        axes.set(xlabel=x, ylim=(len(names) - 0.5, -0.5))
        axes.grid(axis="x", alpha=0.25, linewidth=0.5)
        if series:
            figure.legend(loc="outside upper center", ncols=len(series))
        return _saved(figure)[1]


def _saved(figure: "Figure") -> tuple[bytes, str, str]:
    png, svg, clear = io.BytesIO(), io.StringIO(), io.StringIO()
    figure.savefig(png, format="png", dpi=150, facecolor="white")
    no_date = {"Date": None}  # the same report is the same file
    figure.savefig(svg, format="svg", facecolor="white", metadata=no_date)
    figure.savefig(clear, format="svg", facecolor="none", metadata=no_date)
    return png.getvalue(), svg.getvalue(), _inline(clear.getvalue())


def _inline(svg: str) -> str:
    """The element alone, as wide as its place, its ink the colour of the text around it."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.S)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    return element.replace(INK, "currentColor")
