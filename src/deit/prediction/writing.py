"""Answers as a table, JSON or CSV, written as they come. Names of files and classes may be anybody's."""

import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deit.config.errors import printable, written
from deit.prediction.answering import Answer, Guess
from deit.prediction.panel import HEADS
from deit.prediction.request import Format

WIDE = 10_000  # characters a line where no terminal has an edge
COLUMNS = ("image", "head", "rank", "index", "class", "name", "probability")


class Writer(Protocol):
    """Writes answers into a stream."""

    def __init__(self, stream: TextIO) -> None: ...

    def write(self, answers: Sequence[Answer]) -> None:
        """Append some answers."""
        ...

    def close(self) -> None:
        """Write what comes after the last."""
        ...


class TableWriter:
    """For people: a small table an image, a column a head."""

    def __init__(self, stream: TextIO) -> None:
        self.console = Console(file=stream, highlight=False, width=None if stream.isatty() else WIDE)

    def write(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            self.console.print(Text(printable(answer.image), style="bold"))
            table = Table(box=None, pad_edge=False, header_style="dim")
            for head in answer.heads:
                table.add_column(HEADS[head], overflow="fold")
                table.add_column("")
            for guesses in _ranks(answer):
                table.add_row(*(cell for guess in guesses for cell in _cells(guess)))
            self.console.print(table)
            self.console.print()

    def close(self) -> None:
        pass


def _ranks(answer: Answer) -> Iterator[list[Guess | None]]:
    """What the heads hold most probable, then what they hold next; a teacher may know fewer classes."""
    for rank in range(max(map(len, answer.heads.values()))):
        yield [guesses[rank] if rank < len(guesses) else None for guesses in answer.heads.values()]


def _cells(guess: Guess | None) -> tuple[Text, Text]:
    if guess is None:
        return Text(), Text()
    return Text(printable(guess.name)), Text(f"{guess.probability:6.2%}".replace("%", " %"))


class JsonWriter:
    """A list with an object an image."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.before = stream, "[\n"

    def write(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            self.stream.write(f"{self.before}{json.dumps(_plain(answer))}")
            self.before = ",\n"

    def close(self) -> None:
        self.stream.write("[]\n" if self.before == "[\n" else "\n]\n")


def _plain(answer: Answer) -> dict[str, object]:
    heads = {
        head: [
            {"index": guess.index, "class": guess.label, "name": guess.name, "probability": guess.probability}
            for guess in guesses
        ]
        for head, guesses in answer.heads.items()
    }
    return {"image": answer.image, "predictions": heads}


class CsvWriter:
    """A row a class, with a header."""

    def __init__(self, stream: TextIO) -> None:
        self.rows = csv.writer(stream, lineterminator="\n")
        self.rows.writerow(COLUMNS)

    def write(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            for head, guesses in answer.heads.items():
                for rank, guess in enumerate(guesses, 1):
                    named = (guess.index, guess.label, guess.name, f"{guess.probability:.6f}")
                    self.rows.writerow((answer.image, head, rank, *named))

    def close(self) -> None:
        pass


WRITERS: dict[Format, type[Writer]] = {Format.table: TableWriter, Format.json: JsonWriter, Format.csv: CsvWriter}


@contextmanager
def writer(form: Format, output: Path | None) -> Iterator[Writer]:
    """What writes answers to ``output``, which is there once all are, or to standard output as they come.

    Raises:
        RunError: naming the file, if the disk does not take it.
    """
    if output is None:
        sys.stdout.reconfigure(errors="surrogateescape")  # pyright: ignore[reportAttributeAccessIssue] - names of files
        made = WRITERS[form](sys.stdout)
        yield made
        made.close()
        sys.stdout.flush()
        return
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with written(output, "it is as it was before"):
            output.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
                made = WRITERS[form](stream)
                yield made
                made.close()
            draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
