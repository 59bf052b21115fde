"""Answers as a table, JSON or CSV, text by text as they come. Names of files and classes may be anybody's."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deit.config import drafts
from deit.config.errors import printable, written
from deit.config.spreadsheet_cells import inert
from deit.prediction.answering import HEADS, Answer, Guess
from deit.prediction.request import Format

WIDE = 10_000  # characters a line where no terminal has an edge
COLUMNS = ("image", "head", "rank", "index", "class", "name", "probability")

Batches = Iterable[list[Answer]]


def texts(form: Format, batches: Batches, *, terminal: bool) -> Iterator[str]:
    """What is to be written of each batch, and before the first and after the last.

    terminal: whether a person's terminal shows it, which has an edge and colours.
    """
    if form is Format.json:
        return as_json(batches)
    return as_csv(batches) if form is Format.csv else as_table(batches, terminal=terminal)


def as_json(batches: Batches) -> Iterator[str]:
    """A list with an object an image."""
    before = "[\n"
    for answers in batches:
        for answer in answers:
            yield before + json.dumps(_plain(answer))
            before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _plain(answer: Answer) -> dict[str, object]:
    heads = {
        head: [
            {"index": guess.index, "class": guess.label, "name": guess.name, "probability": guess.probability}
            for guess in guesses
        ]
        for head, guesses in answer.heads.items()
    }
    return {"image": answer.image, "predictions": heads}


def as_csv(batches: Batches) -> Iterator[str]:
    """A row a class, below a header. Texts that a spreadsheet or terminal would execute are made inert."""
    yield ",".join(COLUMNS) + "\n"
    for answers in batches:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        for answer in answers:
            for head, guesses in answer.heads.items():
                for rank, guess in enumerate(guesses, 1):
                    named = (guess.index, inert(guess.label), inert(guess.name), f"{guess.probability:.6f}")
                    rows.writerow((inert(answer.image), head, rank, *named))
        yield text.getvalue()


def as_table(batches: Batches, *, terminal: bool) -> Iterator[str]:
    """A small table an image, two columns a head."""
    text = io.StringIO()
    console = Console(file=text, highlight=False, force_terminal=terminal, width=None if terminal else WIDE)
    for answers in batches:
        for answer in answers:
            console.print(Text(printable(answer.image), style="bold"))
            console.print(_table(answer))
            console.print()
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def _table(answer: Answer) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in answer.heads:
        table.add_column(HEADS[head], overflow="fold")
        table.add_column(justify="right")
    for rank in range(max(map(len, answer.heads.values()))):
        guesses = [held[rank] if rank < len(held) else None for held in answer.heads.values()]
        table.add_row(*(cell for guess in guesses for cell in _cells(guess)))
    return table


def _cells(guess: Guess | None) -> tuple[Text, Text]:
    """Empty where a head knows fewer classes than another."""
    if guess is None:
        return Text(), Text()
    return Text(printable(guess.name)), Text(f"{100 * guess.probability:.2f} %")


@contextmanager
def opened(output: Path | None) -> Iterator[TextIO]:
    """The file ``output``, which is there once all is written, or standard output.

    Raises:
        RunError: naming the file, if the disk does not take it.
    """
    if output is None:
        # Names of files need not be UTF-8, and go out as they came in.
        sys.stdout.reconfigure(errors="surrogateescape")  # pyright: ignore[reportAttributeAccessIssue] - of a TextIO
        yield sys.stdout
        return
    with written(output, "it is as it was before"):
        output.parent.mkdir(parents=True, exist_ok=True)
        with (
            drafts.draft(output) as draft,
            draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
        ):
            yield stream
