"""What src/predict.py does: find the photographs, ask the network, write what it says, draw where it looks."""

import io
import itertools
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from deit.config.command_line import INTERRUPTED
from deit.config.errors import ConfigError, RunError, printable, written
from deit.config.file_names import shortened, slug, vacant
from deit.config.preflight import refuse
from deit.data.sources import ImageError
from deit.models.trained import read_trained
from deit.prediction.answering import Answer, Answering, Look
from deit.prediction.panel import panel
from deit.prediction.photographs import STANDARD_INPUT, Photograph, find_photographs
from deit.prediction.request import OVERLAYS, Device, Request
from deit.prediction.teaching import find_teacher
from deit.prediction.writing import opened, texts
from deit.training.folder import write_atomically

PICTURE = "_attention.png"
"""What the name of a picture ends in."""


def work(asked: Request) -> int:
    """Do what is asked; returns the exit status: 1 if an image could not be read or a file not be written."""
    try:
        photographs = find_photographs(asked.images)
        if asked.output is not None and asked.output.resolve() in {Path(one.name).resolve() for one in photographs}:
            raise ConfigError(f"output={asked.output} is one of the images; pass output=predictions.json")
        return _predict(asked, photographs, _answering(asked))
    except ConfigError as error:
        refuse(str(error))
    except RunError as error:
        sys.stderr.write(f"{printable(error)}\n")
        return 1
    except BrokenPipeError:  # whoever reads the answers has read enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes when it ends
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED


def _answering(asked: Request) -> Answering:
    logging.getLogger("deit").setLevel(logging.WARNING)  # standard output is for answers
    if asked.device is Device.cuda and not torch.cuda.is_available():
        raise ConfigError("device=cuda, but PyTorch finds no GPU here; pass device=cpu")
    if asked.device is Device.mps and not torch.backends.mps.is_available():
        raise ConfigError("device=mps needs a GPU of Apple's, and PyTorch finds none here. Pass device=cpu.")
    chosen = asked.device
    if chosen is Device.auto:
        chosen = Device.cuda if torch.cuda.is_available() else Device.cpu
    device = torch.device(str(chosen))
    trained = read_trained(asked.checkpoint, ema=asked.ema)
    teaching = None if asked.teacher is None else find_teacher(asked.teacher, trained, device)
    return Answering(trained, teaching, device=device, top=asked.top, upright=asked.upright, attention=asked.attention)


def _predict(asked: Request, photographs: Sequence[Photograph], answering: Answering) -> int:
    """Answer about all photographs, with a bar on a terminal; returns 1 if one could not be read, else 0."""
    folder = asked.overlays or vacant(OVERLAYS / _called(asked, answering))
    pictures = picture_paths(photographs, folder) if asked.attention else {}
    if (there := [path for path in pictures.values() if path.exists()]) and not asked.overwrite:
        raise ConfigError(
            f"overlays={folder} must hold none of the pictures, got {len(there)} of earlier, such as {there[0]}. Pass"
            " overwrite=true or another folder."
        )
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    bar = Progress(*columns, console=console, transient=True, redirect_stdout=False, disable=not console.is_terminal)
    task = bar.add_task("images", total=len(photographs))
    broken = lying = 0

    def batches() -> Iterator[list[Answer]]:
        nonlocal broken, lying
        for said in answering.about(photographs, asked.batch):
            for one in said:
                if isinstance(one, ImageError):
                    broken += 1
                    console.print(printable(one))
                elif one.look is not None:
                    draw(one, one.look, pictures[one.image])
                lying += isinstance(one, Answer) and one.lies
                bar.advance(task)
            yield [one for one in said if isinstance(one, Answer)]

    with opened(asked.output) as stream, bar:
        for text in texts(asked.written_as, batches(), terminal=stream.isatty()):
            bar.stop()  # it and a table would write over each other on one terminal
            stream.write(text)
            stream.flush()
            bar.start()
    if pictures:
        console.print(f"{len(photographs) - broken} pictures in {printable(folder)}")
    if lying and asked.upright is None:
        console.print(
            f"{lying} of {len(photographs)} photographs do not stand upright as they are stored, and were seen so, as"
            " the network's training saw its images (data.upright=false); upright=true turns them"
        )
    if broken:
        console.print(f"{broken} of {len(photographs)} images could not be read")
    return int(broken > 0)


def _called(asked: Request, answering: Answering) -> str:
    """Return the name of the folder of pictures: what is asked, about what."""
    images = Path(asked.images or STANDARD_INPUT)
    of = "stdin" if asked.images in (None, STANDARD_INPUT) else slug(images.name or images.absolute().name)
    return shortened(f"{slug(Path(answering.trained.name).name)}_{of}")


def draw(answer: Answer, look: Look, path: Path) -> None:
    """Write the picture of an answer; raises RunError, naming it, if the disk does not take it."""
    content = io.BytesIO()
    panel(answer, look).save(content, "PNG")
    with written(path, "earlier pictures are whole"):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def picture_paths(photographs: Sequence[Photograph], folder: Path) -> dict[str, Path]:
    """Where the picture of each photograph, by its name, is written: below ``folder`` as photographs lie in theirs."""
    files = {one.name: Path(os.path.abspath(one.name)) for one in photographs}  # noqa: PTH100 - resolves ..
    top = Path(os.path.commonpath([file.parent for file in files.values()]))
    names: dict[Path, str] = {}
    for name, file in files.items():
        below = folder / file.parent.relative_to(top)
        stems = itertools.chain([file.stem, file.name], (f"{file.name}_{number}" for number in itertools.count(2)))
        paths = (below / shortened(stem, PICTURE) for stem in stems)
        names[next(path for path in paths if path not in names)] = name
    return {name: path for path, name in names.items()}
