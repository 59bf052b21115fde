"""What is asked of src/predict.py. Imports no torch."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deit.config import checkpoint_source, words
from deit.config.errors import ConfigError
from deit.config.preflight import refuse
from deit.config.values import Choice, not_positive

OVERLAYS = Path("logs/attention")
OWN = "true"
"""What ``teacher`` is where the run's own is meant."""


class Device(Choice):
    """What the networks compute on."""

    auto = "auto"
    """An NVIDIA GPU if there is one, else the CPU."""
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"
    """Apple's GPU."""


class Format(Choice):
    """How answers are written."""

    table = "table"
    json = "json"
    csv = "csv"


@dataclass(kw_only=True)
class Request:
    """Which network is asked about which images, and how its answers are written."""

    checkpoint: str
    """A run, a file, an exported folder, or timm:<name>."""
    images: str | None = None
    """Files, folders and patterns with commas between; ``-`` or null: standard input."""
    top: int = 5
    """How many classes of each head."""
    teacher: str | None = None
    """Whose answers stand beside: ``true``, the run's own teacher's, or those of whatever ``checkpoint`` may be."""
    ema: bool | None = None
    """The averaged weights or the raw ones of a checkpoint that holds both; null: those that the run chose."""
    format: Format | None = None
    """Null: what the suffix of ``output`` says, else a table."""
    output: Path | None = None
    """File for the answers; null: standard output."""
    attention: bool = False
    """Whether to draw where the network looks, a picture an image."""
    overlays: Path | None = None
    """Folder of these pictures; null: one below logs/attention, named after checkpoint and images."""
    overwrite: bool = False
    """Whether ``output`` and pictures that are there already are replaced."""
    upright: bool | None = None
    """Turn photographs as their EXIF orientation says; null: as the network's training did (data.upright), and where
    that is not recorded, they are turned."""
    batch: int = 32
    """Images that the network sees at once."""
    device: Device = Device.auto

    @property
    def written_as(self) -> Format:
        """``format``, or what the suffix of ``output`` says."""
        if self.format is not None:
            return self.format
        return _OF_SUFFIX.get(self._suffix, Format.table)

    @property
    def _suffix(self) -> str:
        return "" if self.output is None else self.output.suffix.lower()

    def problems(self) -> Iterator[str]:
        """What cannot be, whatever the images are."""
        yield from not_positive(top=self.top, batch=self.batch)
        if self.output is not None and not _may_be(self.output, Path.is_file):
            yield f"output={self.output} cannot be a file; pass output=predictions.json"
        elif self._suffix and self._suffix not in _OF_SUFFIX:
            yield (
                f"output must end in {', '.join(_OF_SUFFIX)}, got {self.output}. Pass"
                f" output={_with_suffix(self.output, '.csv')}, which spreadsheets open."
            )
        elif self._suffix and self.format not in (None, _OF_SUFFIX[self._suffix]):
            yield (
                f"format must go with the suffix of output={self.output}, got {self.format}. Pass"
                f" output={_with_suffix(self.output, _suffix_of(self.format))}, or leave format out."
            )
        elif self.output is not None and self.output.is_file() and not self.overwrite:
            yield f"output must be a new file, got {self.output}, which exists. Pass overwrite=true or another output."
        if self.overlays is not None and not self.attention:
            yield f"overlays={self.overlays} is where attention=true draws; pass attention=true too, or leave it out"
        if self.overlays is not None and not _may_be(self.overlays, Path.is_dir):
            yield f"overlays={self.overlays} cannot be a folder; pass overlays={OVERLAYS}"


_OF_SUFFIX = {".csv": Format.csv, ".json": Format.json, ".txt": Format.table}
"""What a file is written as whose name ends so."""


def _suffix_of(form: Format | None) -> str:
    return next(suffix for suffix, one in _OF_SUFFIX.items() if one is form)


def _with_suffix(output: Path | None, suffix: str) -> Path:
    return Path("predictions" if output is None else output).with_suffix(suffix)


def _may_be(path: Path, kind: Callable[[Path], bool]) -> bool:
    """Whether ``path`` is of its kind, or may become so: nothing else is there, and folders above it."""
    there = next(one for one in (path, *path.parents) if one.exists())
    return kind(there) if there == path else there.is_dir()


EXAMPLES = {
    "checkpoint": "logs/runs/<run>",
    "images": "photo.jpg",
    "top": "5",
    "teacher": "true",
    "ema": "true",
    "format": "json",
    "output": "predictions.json",
    "attention": "true",
    "overlays": str(OVERLAYS),
    "overwrite": "true",
    "upright": "true",
    "batch": "32",
    "device": "cuda",
}


def taken(arguments: Sequence[str], usage: str | None) -> Request:
    """The request of the command line; a wrong one ends the program with one message and status 2."""
    asked = words.taken(Request, arguments, usage, EXAMPLES)
    problems = [*asked.problems(), *checkpoint_source.problems(asked.checkpoint)]
    if asked.teacher is not None and asked.teacher != OWN:
        problems += checkpoint_source.problems(asked.teacher, "teacher")
    if asked.images is None and sys.stdin.isatty():
        problems.append("images must be given; possible: files, folders, patterns, or a pipe; pass images=photo.jpg")
    if problems:
        refuse(str(ConfigError.of(problems)))
    return asked
