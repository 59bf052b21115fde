"""An evaluation as tables and plots, the same in Markdown, on a page of its own and in a report's."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deit.config.drafts import replace_bytes, replace_text
from deit.config.errors import printable
from deit.report.cells import file_name
from deit.report.contents import Plot
from deit.report.drawing import Panel, draw, draw_matrices
from deit.report.evaluations import Evaluation, Head, ImageSet, Network
from deit.report.markdown import escaped, grid
from deit.report.seeds import Estimate
from deit.report.texts import NOTHING

HEADS = {
    "class": "class head",
    "distill": "distillation head",
    "fused": "both, softmax outputs summed",
    "fused_logits": "both, logits averaged",
}
MOST_IN_MATRIX = 12
"""Classes whose confusion is drawn; more could not be read."""
FEW_CLASSES = 10
"""Of fewer classes no top-5 is shown."""
MOST_CLASSES = 50
"""Classes that are listed one by one; of more the lowest."""
LISTED = 10
"""Lines of a list that is cut."""
HOW_TO_READ = (
    "Accuracies in percent, top-1 with its 95 % Wilson interval; * marks the head that a network is compared by. ECE:"
    " expected calibration error in percent, 15 bins; NLL: negative log-likelihood of the label in nats. Disagreement:"
    " share of images decided differently, in percent, as the paper's Table 4; p: McNemar's exact test that two are"
    " equally good, not adjusted for the number of pairs."
)


@dataclass(frozen=True)
class Grid:
    """A table of texts."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Shown:
    """An evaluation with its plots."""

    evaluation: Evaluation
    plots: Sequence[Plot]

    @classmethod
    def drawn(cls, evaluation: Evaluation, folder: Path) -> "Shown":
        """With plots that are in ``folder`` as PNG and SVG too."""
        return cls(evaluation, draw_plots(evaluation, folder))

    def values(self) -> dict[str, object]:
        """What the templates show."""
        return {
            "name": self.evaluation.name,
            "about": _about(self.evaluation),
            "how_to_read": HOW_TO_READ,
            "grids": list(grids(self.evaluation)),
            "plots": [{"title": plot.title, "about": plot.about, "svg": Markup(plot.svg)} for plot in self.plots],
        }


def write(evaluation: Evaluation) -> None:
    """Write evaluation.md, evaluation.html and plots/ into its folder; print the accuracies to compare by."""
    folder = evaluation.path
    evaluated = Shown.drawn(evaluation, folder / "plots")
    replace_text(folder / "evaluation.md", markdown([evaluated]))
    style = Markup((resources.files("deit.report") / "page" / "page.css").read_text(encoding="utf-8"))
    page = templates().get_template("evaluation.html").render(style=style, evaluation=evaluated.values())
    replace_text(folder / "evaluation.html", page)
    sys.stdout.write("\n".join(said(evaluation)) + "\n")


def markdown(evaluated: Sequence[Shown]) -> str:
    """A section an evaluation; plots are linked from ``plots/``."""
    return "".join(f"{line}\n" for one in evaluated for line in _section(one))


def templates() -> Environment:
    """What makes pages: every text is escaped, and a name that is missing is a mistake."""
    loader = PackageLoader("deit.report", "page")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def said(evaluation: Evaluation) -> Iterator[str]:
    """What the command prints: a line a set and network, and where the files are."""
    for images in evaluation.sets:
        yield f"{images.title}: {_counts(images)}"
        for network, _, head in evaluation.answers(images):
            top5 = f", top-5 {head.acc5:.2f} %" if _has_top5(images) else ""
            yield f"  {network.name}: top-1 {head.acc1:.2f} %{_interval(head)}{top5}, ECE {head.ece:.2f} %"
        if images.majority is not None:
            yield f"  majority class: top-1 {images.majority:.2f} %"
        yield from (f"  warning: {text}" for text in warnings(evaluation, images))
    yield f"files: {printable(evaluation.path)}"


def warnings(evaluation: Evaluation, images: ImageSet) -> Iterator[str]:
    """Yield what makes an accuracy worth less than it looks: predictions that leave classes out."""
    for network, result, head in evaluation.answers(images):
        if result.collapsed:
            yield (
                f"{network.name} predicts only {result.predicted:,} of {images.classes_with_images:,} classes; compare"
                f" its top-1 of {head.acc1:.2f} % with the majority class"
            )


def _has_top5(images: ImageSet) -> bool:
    """Whether the five best classes are few among all, so that top-5 says something."""
    return images.num_classes >= FEW_CLASSES


def _interval(head: Head) -> str:
    return "" if head.interval is None else " (95 % Wilson {:.2f} to {:.2f})".format(*head.interval)


def draw_plots(evaluation: Evaluation, folder: Path) -> list[Plot]:
    """Reliability of each set, and confusion where the classes are few; PNG and SVG in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = []
    for images in evaluation.sets:
        for plot, png, svg in (*_reliability(evaluation, images), *_confusion(evaluation, images)):
            replace_bytes(folder / f"{plot.name}.png", png)
            replace_text(folder / f"{plot.name}.svg", svg)
            plots.append(plot)
    return plots


def _reliability(evaluation: Evaluation, images: ImageSet) -> Iterator[tuple[Plot, bytes, str]]:
    panel = Panel(x="confidence, %", y="accuracy, %", title=images.title, diagonal=True)
    for network, _, head in evaluation.answers(images):
        line = panel.line(network.name)
        for count, confidence, accuracy in zip(head.counts, head.confidences, head.accuracies, strict=True):
            if count:
                line.add(100 * confidence, Estimate(100 * accuracy, None, 1))
    name = file_name("reliability", evaluation.name, images.name)
    png, svg, inline = draw([panel], salt=name)
    about = "Below the dotted line a network is surer than it is right; empty bins are left out."
    yield Plot(name, f"Reliability: {images.title}", about, inline), png, svg


def _confusion(evaluation: Evaluation, images: ImageSet) -> Iterator[tuple[Plot, bytes, str]]:
    count = len(evaluation.classes)
    results = [(network, result) for network, result, _ in evaluation.answers(images) if result.confusion]
    if count > MOST_IN_MATRIX or not results:
        return
    matrices = {}
    for network, result in results:
        counts = [[0.0] * count for _ in range(count)]
        for row, column, number in result.confusion:
            counts[row][column] = float(number)
        matrices[network.name] = [[value / (sum(row) or 1.0) for value in row] for row in counts]
    name = file_name("confusion", evaluation.name, images.name)
    png, svg, inline = draw_matrices(evaluation.classes, matrices, salt=name)
    about = "Share of each class's images (rows) that are taken for each class (columns)."
    yield Plot(name, f"Confusion: {images.title}", about, inline), png, svg


def grids(evaluation: Evaluation) -> Iterator[Grid]:
    """All tables, in their order."""
    header = ["network", "checkpoint", "parameters", "pixels", "crop"]
    rows = [
        [n.name, n.checkpoint, f"{n.parameters:,}", str(n.image_size), f"{n.crop:.3g}"] for n in evaluation.networks
    ]
    yield Grid("Networks", header, rows)
    if len(evaluation.sets) > 1:
        columns = [[_two(head.acc1) for _, _, head in evaluation.answers(images)] for images in evaluation.sets]
        names = [network.name for network in evaluation.networks]
        overview = [list(row) for row in zip(names, *columns, strict=True)]
        yield Grid("Top-1 by set", ["network", *(images.name for images in evaluation.sets)], overview)
    for images in evaluation.sets:
        yield _accuracies(evaluation, images)
        yield from _comparison(images)
        yield from _classes(evaluation, images)
    if cosines := [network for network in evaluation.networks if network.token_cosine]:
        deepest = max(len(network.token_cosine) for network in cosines)
        header = ["network", "as learnt", *(f"block {number}" for number in range(1, deepest))]
        yield Grid("Cosine of class and distillation token", header, [_cosine_row(one, deepest) for one in cosines])


def _cosine_row(network: Network, deepest: int) -> list[str]:
    texts = [_two(value) for value in network.token_cosine]
    return [network.name, *texts, *[NOTHING] * (deepest - len(texts))]


def _accuracies(evaluation: Evaluation, images: ImageSet) -> Grid:
    rows = []
    for network, result, _ in evaluation.answers(images):
        for name, head in result.heads.items():
            mark = "*" if name == network.answer else ""
            rows.append([f"{network.name}, {HEADS.get(name, name)}{mark}", *_figures(head, images)])
    header = ["head", "top-1", "95 %", *(["top-5"] if _has_top5(images) else []), "ECE", "NLL"]
    if images.majority is not None:
        rows.append(["majority class", _two(images.majority), *[NOTHING] * (len(header) - 2)])
    for text in warnings(evaluation, images):
        rows.append([f"warning: {text}", *[""] * (len(header) - 1)])
    return Grid(f"{images.title}: {_counts(images)}", header, rows)


def _figures(head: Head, images: ImageSet) -> list[str]:
    interval = NOTHING if head.interval is None else "{:.2f} to {:.2f}".format(*head.interval)
    nll = NOTHING if head.nll is None else f"{head.nll:.4f}"
    return [_two(head.acc1), interval, *([_two(head.acc5)] if _has_top5(images) else []), _two(head.ece), nll]


def _comparison(images: ImageSet) -> Iterator[Grid]:
    rows = [[name, *map(_two, row)] for name, row in zip(images.deciders, images.disagreement, strict=True)]
    yield Grid(f"{images.title}: disagreement", ["one, other", *images.deciders], rows)
    if images.pairs:
        header = ["one", "other", "one alone right", "other alone right", "p"]
        tests = [[p.one, p.other, f"{p.only_one:,}", f"{p.only_other:,}", f"{p.p:.3g}"] for p in images.pairs]
        yield Grid(f"{images.title}: McNemar's test", header, tests)


def _classes(evaluation: Evaluation, images: ImageSet) -> Iterator[Grid]:
    named = [(network, result) for network, result, _ in evaluation.answers(images) if result.class_acc1]
    if not named:
        return
    first = named[0][1].class_acc1
    places = [place for place, share in enumerate(first) if share is not None]
    title = f"{images.title}: top-1 by class"
    if len(places) > MOST_CLASSES:
        places = sorted(places, key=lambda place: first[place] or 0.0)[:LISTED]
        title += f", the {LISTED} lowest of {named[0][0].name}"
    columns = [[result.class_acc1[place] for place in places] for _, result in named]
    rows = [
        [evaluation.classes[place], *(NOTHING if share is None else _two(share) for share in shares)]
        for place, *shares in zip(places, *columns, strict=True)
    ]
    yield Grid(title, ["class", *(network.name for network, _ in named)], rows)
    for network, result in named:
        wrong = sorted((one for one in result.confusion if one[0] != one[1]), key=lambda one: -one[2])[:LISTED]
        taken = [[evaluation.classes[row], evaluation.classes[column], f"{number:,}"] for row, column, number in wrong]
        if taken:
            yield Grid(f"{images.title}: what {network.name} confuses most", ["class", "taken for", "images"], taken)


def _counts(images: ImageSet) -> str:
    left_out = "" if images.images == images.of else f" of {images.of:,}"
    classes = f"{images.num_classes:,} classes"
    if images.classes_with_images < images.num_classes:
        classes = f"{images.classes_with_images:,} of {classes} have any"
    origin = f": {images.origin}" if images.origin else ""
    return f"{images.images:,} images{left_out}, {classes}{origin}"


def _about(evaluation: Evaluation) -> str:
    dry = "; a dry run on a part of the images" if evaluation.limited else ""
    return f"{evaluation.date}, precision {evaluation.precision}{dry}"


def _two(value: float) -> str:
    return f"{value:.2f}"


def _section(one: Shown) -> Iterator[str]:
    yield f"# Evaluation of {escaped(', '.join(network.name for network in one.evaluation.networks))}\n"
    yield f"{escaped(_about(one.evaluation))}. {escaped(HOW_TO_READ)}\n"
    for table in grids(one.evaluation):
        yield f"## {escaped(table.title)}\n"
        yield from grid(table.header, table.rows)
    for plot in one.plots:
        yield f"![{escaped(plot.title)}](plots/{plot.name}.png)\n\n{plot.about}\n"
