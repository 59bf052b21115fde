"""Reads what src/evaluate.py left, and writes it as Markdown, plots and one page.

As of a run's folder, only the fields named here are taken, and what cannot be read is one line that says why.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from deit.config.errors import RunError, printable
from deit.report.folders import LARGEST, Damaged

SCHEMA = 1
"""The evaluation.json that is understood here."""
RECORD = "evaluation.json"

Json = dict[str, object]


@dataclass(frozen=True)
class Head:
    """Figures of one head, or of a fusion of two."""

    acc1: float
    """Percent, as acc5 and ece."""
    interval: tuple[float, float] | None
    """Ends of the 95 % Wilson interval of acc1, in percent; None in evaluations of before."""
    acc5: float
    ece: float
    nll: float | None
    """In nats; None where an image may be of several classes."""
    counts: Sequence[int]
    """Images by confidence, in bins of equal width; with the next two what a reliability plot shows."""
    confidences: Sequence[float]
    accuracies: Sequence[float]


@dataclass(frozen=True)
class Network:
    """What was evaluated."""

    name: str
    checkpoint: str
    answer: str
    """The head to compare it by."""
    parameters: int
    image_size: int
    crop: float
    token_cosine: Sequence[float]


@dataclass(frozen=True)
class Result:
    """What one network makes of one set."""

    heads: Mapping[str, Head]
    class_acc1: Sequence[float | None]
    """Percent by class; empty where an image may be of several."""
    confusion: Sequence[tuple[int, int, int]]
    """Class, what it was taken for, how often; what never happened is left out."""
    predicted: int | None
    """Classes that are predicted at all; None where it is not recorded."""
    collapsed: bool
    """Whether these are fewer than half of those with images, or one of several."""


@dataclass(frozen=True)
class Pair:
    """McNemar's test of two deciders."""

    one: str
    other: str
    only_one: int
    only_other: int
    p: float


@dataclass(frozen=True)
class ImageSet:
    """One set and what all networks make of it."""

    name: str
    title: str
    origin: str
    """Which images they are of all that are there; "" where nothing is to be said."""
    images: int
    of: int
    num_classes: int
    classes_with_images: int
    majority: float | None
    """Percent: top-1 of always predicting the most frequent class; None in evaluations of before."""
    results: Sequence[Result]
    """In the order of the networks."""
    deciders: Sequence[str]
    disagreement: Sequence[Sequence[float]]
    """Percent, a row and a column a decider."""
    pairs: Sequence[Pair]


@dataclass(frozen=True)
class Evaluation:
    """What one call of src/evaluate.py left."""

    path: Path
    name: str
    data: str
    precision: str
    limited: bool
    date: str
    networks: Sequence[Network]
    classes: Sequence[str]
    sets: Sequence[ImageSet]

    def answers(self, images: ImageSet) -> Iterator[tuple[Network, Result, Head]]:
        """Each network with its result and the head to compare it by."""
        for network, result in zip(self.networks, images.results, strict=True):
            yield network, result, result.heads[network.answer]


def read_below(folder: Path) -> Iterator[Evaluation | Damaged]:
    """Every evaluation in or below ``folder``, in the order of their paths."""
    found = sorted(Path(parent) for parent, _, files in os.walk(folder) if RECORD in files)
    for path in found:
        yield read(path, printable(Path(folder.resolve().name) / path.relative_to(folder)))


def read(path: Path, name: str) -> Evaluation | Damaged:
    """The evaluation in the folder ``path``, or why it cannot be read."""
    file = path / RECORD
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it has {file.stat().st_size:,} bytes; more than {LARGEST:,} are no evaluation's")
        record = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or record.get("schema") != SCHEMA:
            raise ValueError(f"only schema {SCHEMA} is understood here")
        return _evaluation(path, name, record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        told = " ".join(printable(error).split()) or type(error).__name__
        return Damaged(path, name, f"{RECORD} is damaged, or not an evaluation's: {told}")


def write(folder: Path) -> None:
    """Write the evaluation in ``folder`` as evaluation.md, evaluation.html and plots/, and print its accuracies.

    Raises:
        RunError: if it cannot be read.
    """
    from deit.report import evaluation_page  # which needs the classes above

    found = read(folder, folder.name)
    if isinstance(found, Damaged):
        raise RunError(f"{folder}: {found.reason}")
    evaluation_page.write(found)


def _evaluation(path: Path, name: str, record: Json) -> Evaluation:
    networks = [_network(one) for one in _objects(record["networks"])]
    found = Evaluation(
        path=path,
        name=name,
        data=printable(record["data"]),
        precision=printable(record["precision"]),
        limited=record["limited"] is True,
        date=printable(cast(Json, record["environment"])["date"]),
        networks=networks,
        classes=_texts(record["classes"]),
        sets=[_image_set(one) for one in _objects(record["sets"])],
    )
    for images in found.sets:
        _check(images, found)
    return found


def _check(images: ImageSet, found: Evaluation) -> None:
    """Raise ValueError for a set that does not go with the rest."""
    sides = {len(images.deciders), *map(len, images.disagreement)}
    if len(images.results) != len(found.networks) or sides != {len(images.disagreement)}:
        raise ValueError(f"{images.name} has not a result a network")
    for network, result in zip(found.networks, images.results, strict=True):
        places = [place for row, column, _ in result.confusion for place in (row, column)]
        known = len(found.classes)
        if network.answer not in result.heads or max(places, default=0) >= known or len(result.class_acc1) > known:
            raise ValueError(f"{images.name} has heads or classes that do not exist")
        for head in result.heads.values():
            if len({len(head.counts), len(head.confidences), len(head.accuracies)}) > 1:
                raise ValueError(f"{images.name} has a reliability of bins that do not exist")


def _network(record: Json) -> Network:
    return Network(
        name=printable(record["name"]),
        checkpoint=printable(record["checkpoint"]),
        answer=printable(record["answer"]),
        parameters=_whole(record["parameters"]),
        image_size=_whole(record["image_size"]),
        crop=_number(record["crop"]),
        token_cosine=_numbers(record["token_cosine"]),
    )


def _image_set(record: Json) -> ImageSet:
    comparison = cast(Json, record["comparison"])
    return ImageSet(
        name=printable(record["name"]),
        title=printable(record["title"]),
        origin=printable(record.get("origin", "")),
        images=_whole(record["images"]),
        of=_whole(record["of"]),
        num_classes=_whole(record["num_classes"]),
        classes_with_images=_whole(record["classes_with_images"]),
        majority=_optional(record.get("majority_acc1")),
        results=[_result(one) for one in _objects(record["networks"])],
        deciders=_texts(comparison["names"]),
        disagreement=[_numbers(row) for row in _list(comparison["disagreement"])],
        pairs=[_pair(one) for one in _objects(comparison["mcnemar"])],
    )


def _result(record: Json) -> Result:
    shares = _list(record.get("class_acc1", []))
    places = [tuple(map(_whole, _list(place))) for place in _list(record.get("confusion", []))]
    if any(len(place) != 3 or min(place) < 0 for place in places):
        raise ValueError("a confusion is class, class, count")
    return Result(
        heads={printable(name): _head(head) for name, head in cast(dict[str, Json], record["heads"]).items()},
        class_acc1=[None if share is None else _number(share) for share in shares],
        confusion=cast(list[tuple[int, int, int]], places),
        predicted=None if record.get("classes_predicted") is None else _whole(record["classes_predicted"]),
        collapsed=record.get("collapsed") is True,
    )


def _head(record: Json) -> Head:
    bins = cast(Json, record["reliability"])
    ends = _numbers(record.get("acc1_interval") or [])
    return Head(
        acc1=_number(record["acc1"]),
        interval=(ends[0], ends[1]) if len(ends) == 2 else None,
        acc5=_number(record["acc5"]),
        ece=_number(record["ece"]),
        nll=None if record["nll"] is None else _number(record["nll"]),
        counts=[_whole(count) for count in _list(bins["counts"])],
        confidences=_numbers(bins["confidences"]),
        accuracies=_numbers(bins["accuracies"]),
    )


def _pair(record: Json) -> Pair:
    return Pair(
        one=printable(record["one"]),
        other=printable(record["other"]),
        only_one=_whole(record["only_one"]),
        only_other=_whole(record["only_other"]),
        p=_number(record["p"]),
    )


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"a list is expected where {str(value)[:40]} is")
    return value


def _objects(value: object) -> list[Json]:
    return cast(list[Json], _list(value))


def _texts(value: object) -> list[str]:
    return [printable(item) for item in _list(value)]


def _numbers(value: object) -> list[float]:
    return [_number(item) for item in _list(value)]


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"a number is expected where {str(value)[:40]} is")
    return float(value)


def _optional(value: object) -> float | None:
    return None if value is None else _number(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"a whole number is expected where {str(value)[:40]} is")
    return value
