"""What a core makes of image files in a second: the official transform, and ours with everything to the network.

Shapes: S side in pixels.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from deit.benchmark import official
from deit.benchmark.request import Request
from deit.benchmark.results import Ratio, Result, rows_of, times_as_fast
from deit.benchmark.rounds import Candidate, interleaved
from deit.config.material import NO_PACK, Data, Decode
from deit.config.schema import Config
from deit.data.batches import TrainBatch
from deit.data.datamodule import KeyedData
from deit.data.order import TrainBatches
from deit.data.packing import packed
from deit.data.sources import DataSet, Split, open_dataset
from deit.distillation.bank import Bank
from deit.evaluation.throughput import Spent, now, repeated

ABOUT = """\
The data path on one core: CPU time of a single thread from image files in the page cache to a mixed, normalised
batch of 128 for the network, no worker processes. The reference is the official transform: timm's
`create_transform` on PIL images (crop, RandAugment, normalise, erase), collated, then timm's Mixup. Ours is the
data module of a run. Both render the same images in the same order. Below: what replaying a teacher's decisions
from a bank adds."""

BATCH = 128
IMAGES = 1024  # of a larger set: enough for typical files, few enough to be in the page cache after one pass
REFERENCE, OURS, BANK = "official transform", "ours", "reading the bank"
# Settings of `data` that are faster or closer ways to the same views.
VARIANTS: tuple[dict[str, object], ...] = (
    {},
    {"decode": Decode.reference},
    {"decode": Decode.fast, "pack": NO_PACK},
    {"decode": Decode.fast, "pack": "256"},
    {"decode": Decode.fast, "pack": "292"},
)


def benchmark(config: Config, request: Request) -> Result:
    """Time the official data path, each variant of ours, and a bank."""
    with _one_thread(), tempfile.TemporaryDirectory() as folder:
        dataset = _part(open_dataset(config.data))
        _read_once(dataset)
        data = _keyed(config, dataset)
        streams = {REFERENCE: official.batches(config, data)}
        for name, changed in variants(config.data):
            own = replace(config, data=changed)
            streams[name] = _ours(_keyed(own, _part(packed(open_dataset(changed), changed))))
        candidates = [Candidate(name, _reader(stream)) for name, stream in streams.items()]
        candidates.append(Candidate(BANK, _bank_reader(dataset, Path(folder))))
        taken = interleaved("data", candidates, rounds=request.rounds, seconds=request.seconds)
    names = [name for name in streams if name != REFERENCE]
    shares = [_share(taken, BANK, name) for name in names]
    a = config.augment
    return Result(
        what="data",
        about=ABOUT,
        unit="image",
        clock="cpu",
        rows=rows_of(taken),
        ratios=[*(times_as_fast(taken, name, REFERENCE, clock="cpu") for name in names), *shares],
        facts={
            "data": config.data.name,
            "images": len(dataset.train),
            "pixels": config.image_size,
            "augment": f"{a.name} ({a.crop}, {a.auto_augment or 'no policy'})",
            "batch": BATCH,
        },
    )


def variants(data: Data) -> Iterator[tuple[str, Data]]:
    """``data`` as it is given, then each variant that differs from those before, by what to type for it."""
    seen: list[object] = []
    for settings in VARIANTS:
        changed = replace(data, **settings)
        renders_as = (changed.decode, changed.packed_side)
        if renders_as not in seen:
            seen.append(renders_as)
            yield " ".join([OURS, *(f"data.{key}={value}" for key, value in settings.items())]), changed


def _share(taken: dict[str, list[Spent]], part: str, whole: str) -> Ratio:
    pairs = zip(taken[part], taken[whole], strict=True)
    return Ratio(f"time of {part} : of {whole}", [a.cpu / b.cpu for a, b in pairs])


def _keyed(config: Config, dataset: DataSet) -> KeyedData:
    return KeyedData(
        dataset,
        replace(config.data, workers=0),
        config.augment,
        image_size=config.image_size,
        batch_size=BATCH,
        seed=config.seed,
    )


def _part(dataset: DataSet) -> DataSet:
    """``dataset`` with at most `IMAGES` images to train on, from all over the set."""
    train = dataset.train
    chosen = np.unique(np.linspace(0, len(train) - 1, min(IMAGES, len(train))).astype(np.int64))
    return replace(dataset, train=Split(train.source, train.indices[chosen]))


def _read_once(dataset: DataSet) -> None:
    for index in dataset.train.indices:
        dataset.train.source.image(int(index))


def _ours(data: KeyedData) -> Iterator[Tensor]:
    """Our data path up to the network, for ever: (128, 3, S, S) float32, mixed and normalised."""
    loader = data.train_dataloader()
    for epoch in count():
        cast(TrainBatches, loader.batch_sampler).set_epoch(epoch)
        for raw in loader:
            moved = data.transfer_batch_to_device(raw, torch.device("cpu"), 0)
            batch = data.on_after_batch_transfer(moved, 0)
            assert isinstance(batch, TrainBatch)
            yield batch.images


def _reader(stream: Iterator[Tensor]) -> Callable[[float], Spent]:
    def measure(seconds: float) -> Spent:
        began = ended = now("cpu")
        images = 0
        while not images or ended.wall - began.wall < seconds:
            images += len(next(stream))
            ended = now("cpu")
        return ended.since(began).per(images)

    return measure


def _bank_reader(dataset: DataSet, folder: Path) -> Callable[[float], Spent]:
    """Reads the decisions about a batch as a replayed run does."""
    num_classes, indices = len(dataset.classes), torch.from_numpy(dataset.train.indices)
    bank = Bank(folder / "bank", {}, num_images=len(dataset.train.source), num_classes=num_classes, top=0)
    bank.write(torch.zeros_like(indices), indices, torch.randn(len(indices), num_classes))
    bank.commit()
    size = min(BATCH, len(indices))
    views = torch.zeros(size, dtype=torch.int64)

    def read() -> None:
        asked = indices[torch.randperm(len(indices))[:size]]
        assert bank.known(views, asked)
        bank.read(views, asked)

    def measure(seconds: float) -> Spent:
        return repeated(read, "cpu", seconds=min(seconds, 0.2)).per(size)  # hundreds of reads

    return measure


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
