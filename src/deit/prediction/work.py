"""What src/predict.py does: find the photographs, ask the network, write what it says, draw where it looks."""

import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from deit.config.command_line import INTERRUPTED
from deit.config.errors import ConfigError, RunError, printable, written
from deit.config.words import refuse
from deit.models.trained import read_trained
from deit.prediction.answering import Answer, Answering
from deit.prediction.panel import panel
from deit.prediction.photographs import Photograph, find_photographs
from deit.prediction.request import OVERLAYS, Device, Request
from deit.prediction.teaching import find_teacher
from deit.prediction.writing import Writer, writer
from deit.training.folder import write_atomically


def work(asked: Request) -> int:
    """Do what is asked; returns the exit status: 1 if an image could not be read or a file not be written."""
    try:
        photographs = find_photographs(asked.images)
        if asked.output is not None and asked.output.resolve() in {Path(one.name).resolve() for one in photographs}:
            raise ConfigError(f"output={asked.output} is one of the images; pass output=predictions.json")
        answering = _answering(asked)
        pictures = picture_paths(photographs, asked.overlays or OVERLAYS) if asked.attention else {}
        with writer(asked.written_as, asked.output) as out:
            return _predict(answering, photographs, asked.batch, out, pictures)
    except ConfigError as error:
        refuse(error)
    except RunError as error:
        sys.stderr.write(f"{printable(error)}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _answering(asked: Request) -> Answering:
    logging.getLogger("deit").setLevel(logging.WARNING)  # standard output is for answers
    if asked.device is Device.cuda and not torch.cuda.is_available():
        raise ConfigError("device=cuda, but PyTorch finds no GPU here; pass device=cpu")
    on_gpu = asked.device is not Device.cpu and torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    trained = read_trained(asked.checkpoint, ema=asked.ema)
    if asked.ema and not trained.has_average:
        raise ConfigError(f"ema=true, but {asked.checkpoint} holds no averaged weights; pass ema=false")
    teaching = None if asked.teacher is None else find_teacher(asked.teacher, trained, device)
    return Answering(trained, teaching, device=device, top=asked.top, upright=asked.upright, attention=asked.attention)


def _predict(
    answering: Answering, photographs: Sequence[Photograph], batch: int, out: Writer, pictures: dict[str, Path]
) -> int:
    """Answer about all photographs, with a bar on a terminal; returns 1 if one could not be read, else 0."""
    broken = 0
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    bar = Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=not sys.stderr.isatty())
    task = bar.add_task("images", total=len(photographs))
    bar.start()
    try:
        for said in answering.about(photographs, batch):
            answers = [one for one in said if isinstance(one, Answer)]
            for answer in answers:
                if answer.look is not None:
                    draw(answer, pictures[answer.image])
                bar.advance(task)
            bar.live.stop()  # so that table and bar don't write over each other where both are on one terminal
            out.write(answers)
            for error in (one for one in said if not isinstance(one, Answer)):
                broken += 1
                console.print(printable(error))
                bar.advance(task)
            bar.start()
    finally:
        bar.live.stop()
    if pictures:
        console.print(f"{len(photographs) - broken} pictures: {printable(os.path.commonpath([*pictures.values()]))}")
    if broken:
        console.print(f"{broken} of {len(photographs)} images could not be read")
    return int(broken > 0)


def draw(answer: Answer, path: Path) -> None:
    """Write the picture of an answer; raises RunError, naming it, if the disk does not take it."""
    assert answer.look is not None, "pictures are drawn where looks were asked for"
    content = io.BytesIO()
    panel(answer, answer.look).save(content, "PNG")
    with written(path, "earlier pictures are whole"):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def picture_paths(photographs: Sequence[Photograph], folder: Path) -> dict[str, Path]:
    """Where the picture of each photograph, by its name, is written: below ``folder`` as photographs lie in theirs."""
    files = {one.name: Path(os.path.abspath(one.name)) for one in photographs}  # noqa: PTH100 - resolves ..
    top = Path(os.path.commonpath([file.parent for file in files.values()]))
    paths: dict[str, Path] = {}
    for name, file in files.items():
        below = folder / file.parent.relative_to(top)
        path = below / f"{file.stem}_attention.png"
        paths[name] = path if path not in paths.values() else below / f"{file.name}_attention.png"
    return paths
