"""What is drawn: accuracy against throughput, epochs and resolution, students against teachers, disagreement.

A plot is drawn for each scale and data set that has the figures for it, the paper's curves in a panel of their own;
where nothing can be drawn the report says what it would need.
"""

from collections.abc import Callable, Iterator, Sequence

from deit.report.cells import Filled, file_name
from deit.report.contents import Contents, Plot
from deit.report.drawing import Line, Panel, draw, draw_matrices
from deit.report.published import Table
from deit.report.seeds import Estimate, Group, computed_settings
from deit.report.texts import method, setting, teacher

ACCURACY = "test top-1 %"
LENGTH = ("optim.epochs", "optim.warmup_epochs")
START = ("init",)
FINE_TUNING = ("model.eval_mode", "teacher.same_size", "trainer.limit_batches")
UNUSED = ("teacher", "distill.compare")
"""What a student that learns from labels alone does not depend on."""
Keys = tuple[str, ...]


def draw_all(contents: Contents) -> Iterator[tuple[Plot, bytes, str]]:
    """Each plot with its PNG and its SVG for a file; appends to ``contents.not_drawn`` what cannot be drawn."""
    paper = {table.name: table for table in contents.published}
    for name, (title, about, needs, panels) in PLOTS.items():
        any_drawn = False
        for scale, data, groups in _settings(contents.groups):
            ours, theirs = panels(groups, paper)
            if not ours.lines:
                continue
            any_drawn = True
            where, file = f"scale {scale}, {data}", file_name(name, scale, data)
            ours.title = f"ours: {where}"
            png, svg, inline = draw([theirs, ours], salt=file)
            yield Plot(file, f"{title} ({where})", about, inline), png, svg
        if not any_drawn:
            contents.not_drawn.append(f"{title}: not drawn, it needs {needs}")
    yield from _disagreement(contents)


def _settings(groups: Sequence[Group]) -> Iterator[tuple[str, str, list[Group]]]:
    """Scale, data set, and the groups with a finished run there."""
    by: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        if group.estimate("test/acc1") is not None:
            by.setdefault((str(group.facts.get("scale.name")), str(group.facts.get("data.name"))), []).append(group)
    for (scale, data), members in by.items():
        yield scale, data, members


def _throughput(groups: Sequence[Group], paper: dict[str, Table]) -> tuple[Panel, Panel]:
    ours = Panel(x="images/s in inference, own device", y=ACCURACY, log=True)
    lines: dict[str, Line] = {}
    for group in groups:
        speed, accuracy = group.estimate("timing/inference_images_per_s"), group.estimate("test/acc1")
        if speed is not None and accuracy is not None:
            line = lines.setdefault(method(group.facts), Line(method(group.facts), joined=False))
            line.add(speed.mean, accuracy, str(group.facts.get("model.name")))
    if sum(len(line.points) for line in lines.values()) > 1:
        ours.lines = list(lines.values())
    theirs = Panel(x="images/s in inference, V100", y="ImageNet top-1 %", log=True, title="paper: Table 5, Figure 1")
    for row in paper["table5"].rows:
        speed, accuracy = row.cells[2].paper, row.cells[3].paper
        if row.series is not None and isinstance(speed, (int, float)) and isinstance(accuracy, (int, float)):
            theirs.line(row.series).add(speed, Estimate(accuracy, None, 1))
    return ours, theirs


def _epochs(groups: Sequence[Group], paper: dict[str, Table]) -> tuple[Panel, Panel]:
    ours = Panel(x="epochs of the pretraining", y=ACCURACY)
    ours.lines = _lines(groups, x="pretraining.optim.epochs", free=(*LENGTH, *START))
    table = paper["figure3"]
    theirs = Panel(x="epochs", y="ImageNet top-1 %", title="paper: Figure 3, partly read off")
    for c, column in enumerate(table.columns):
        for row in table.rows:
            value = row.cells[c].paper
            if isinstance(value, (int, float)):
                theirs.line(column.label).add(float(row.label), Estimate(value, None, 1))
    return ours, theirs


def _resolution(groups: Sequence[Group], paper: dict[str, Table]) -> tuple[Panel, Panel]:
    ours = Panel(x="side of the images, in the paper's pixels", y=ACCURACY)
    ours.lines = _lines(groups, x="paper_pixels", free=(*START, *FINE_TUNING), free_groups=("resolution", "optim"))
    theirs = Panel(x="side of the images in fine-tuning", y="ImageNet top-1 %", title="paper: Table 10")
    for row in paper["table10"].rows:
        value = row.cells[1].paper
        if isinstance(value, (int, float)):
            theirs.line("DeiT-B").add(float(row.label), Estimate(value, None, 1))
    return ours, theirs


def _teachers(groups: Sequence[Group], paper: dict[str, Table]) -> tuple[Panel, Panel]:
    ours = Panel(x="teacher's test top-1 %", y="student's test top-1 %", diagonal=True)
    found: dict[str, Line] = {}
    for group in groups:
        knows, learnt = group.estimate("teacher/acc1"), group.estimate("test/acc1")
        if knows is not None and learnt is not None and group.facts.get("distill.method") != "none":
            name = f"{group.facts.get('model.name')}, {method(group.facts)}"
            found.setdefault(name, Line(name, joined=False)).add(knows.mean, learnt, teacher(group.facts))
    if len({label for line in found.values() for label in line.names}) > 1:
        ours.lines = list(found.values())
    theirs = Panel(x="teacher's top-1 %", y="student's top-1 %", title="paper: Table 2, DeiT-B", diagonal=True)
    for row in paper["table2"].rows:
        knows, learnt = row.cells[0].paper, row.cells[1].paper
        if isinstance(knows, float) and isinstance(learnt, float):
            theirs.line("hard + token", joined=False).add(knows, Estimate(learnt, None, 1), row.label)
    return ours, theirs


def _lines(groups: Sequence[Group], *, x: str, free: Keys, free_groups: Keys = ()) -> list[Line]:
    """Lines of groups that differ in nothing but ``x`` and what is ``free``; none of a single point."""
    found: dict[str, Line] = {}
    for group in groups:
        at, accuracy = group.facts.get(x), group.estimate("test/acc1")
        if not isinstance(at, int) or accuracy is None:
            continue
        settings = computed_settings(group.runs[0].config)
        unused = UNUSED if group.facts.get("distill.method") == "none" else ()
        gone = {*free, *free_groups, *unused}
        kept = {key: value for key, value in settings.items() if not {key, key.partition(".")[0]} & gone}
        pixels = "" if x == "paper_pixels" else f", {group.facts.get('paper_pixels')}"
        name = f"{group.facts.get('model.name')}, {method(group.facts)}{pixels}"
        # Fine-tuned runs of other lengths of pretraining are other lines, unless the length is what is drawn.
        apart = "" if x != "paper_pixels" else str(group.facts.get("paper_epochs"))
        found.setdefault(f"{sorted(kept.items())!r}{apart}", Line(name)).add(at, accuracy)
    return [line for line in found.values() if len({at for at, _ in line.points}) > 1]


def _disagreement(contents: Contents) -> Iterator[tuple[Plot, bytes, str]]:
    """The heat map of each matrix that has a figure of ours besides errors."""
    drawn = False
    for filled in contents.tables:
        if not filled.table.matrix or not any(
            cell.estimate is not None and 0 not in place for place, cell in filled.cells.items()
        ):
            continue
        drawn = True
        names = [column.label for column in filled.table.columns]
        theirs = [[float(cell.paper or 0) for cell in row.cells] for row in filled.table.rows]
        ours: list[list[float | None]] = [
            [_matrix_value(filled.cells.get((r, c)), is_diagonal=r == c) for c in range(len(names))]
            for r in range(len(names))
        ]
        title = f"Disagreement ({setting(filled)})"
        about = "Share of images that two decide differently; against the ground truth, the error. Blank: no figure."
        png, svg, inline = draw_matrices(names, {"paper: Table 4": theirs, "ours": ours}, salt=filled.file_name)
        yield Plot(file_name("disagreement", filled.scale, filled.data), title, about, inline), png, svg
    if not drawn:
        contents.not_drawn.append(
            "Disagreement: not drawn, it needs the predictions of a run of deit_b with distill=hard"
        )


def _matrix_value(cell: Filled | None, *, is_diagonal: bool) -> float | None:
    if is_diagonal:
        return 0.0
    return None if cell is None or cell.estimate is None else cell.estimate.mean


PLOTS: dict[str, tuple[str, str, str, Callable[[Sequence[Group], dict[str, Table]], tuple[Panel, Panel]]]] = {
    "accuracy_throughput": (
        "Accuracy against throughput",
        "Both are of inference: the paper's on a V100, ours on one device of the run, whichever that was.",
        "two configurations that are done",
        _throughput,
    ),
    "accuracy_epochs": (
        "Accuracy against epochs",
        "Lines join runs that differ in their length alone.",
        "runs that differ in optim.epochs alone",
        _epochs,
    ),
    "accuracy_resolution": (
        "Accuracy against resolution",
        "Lines join a model's runs at several resolutions, fine-tuned or not.",
        "runs that differ in resolution",
        _resolution,
    ),
    "students_teachers": (
        "Students against their teachers",
        "Above the dotted line a student is better than its teacher.",
        "distilled runs with two teachers",
        _teachers,
    ),
}
"""Title, what to know, what it needs, and our panel beside the paper's."""
