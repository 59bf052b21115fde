"""Files that were cut, flipped, overwritten: named in an error of ours, or read as what they were. Seeded.

What has no checksum (old .pth files, other people's safetensors) may hold other numbers after a flipped bit; of these
it is asked that nothing else than an error of ours comes of it.
"""

import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from deit.config import cells, ledger
from deit.config.errors import ConfigError, RunError
from deit.config.schema import Config
from deit.data.packing import PackedImages, packed
from deit.data.sources import open_dataset
from deit.distillation.bank import Bank
from deit.models.files import read_metadata, read_state, save_weights
from deit.models.preprocess import Inputs
from deit.report import folders
from deit.training import folder as run_folder
from deit.training.csvlog import MetricsFile

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")
ROUNDS = 150
STATE = {"a.weight": torch.arange(60.0).reshape(6, 10), "b.bias": torch.ones(3, dtype=torch.float16)}


def damaged(content: bytes, rounds: int = ROUNDS) -> Iterator[bytes]:
    """``content`` cut off, with bits flipped, bytes inserted, removed or overwritten; more often near its ends."""
    dice = random.Random(0)
    for _ in range(rounds):
        data, at = bytearray(content), dice.randrange(len(content))
        if dice.random() < 0.5:  # headers and directories are where readers believe what they read
            at = min(at % 200 if dice.random() < 0.5 else len(content) - 1 - at % 200, len(content) - 1)
        kind = dice.choice(("cut", "flip", "flips", "insert", "remove", "fill"))
        if kind == "cut":
            del data[at:]
        elif kind == "flip":
            data[at] ^= 1 << dice.randrange(8)
        elif kind == "flips":
            for _ in range(8):
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        elif kind == "insert":
            data[at:at] = dice.randbytes(dice.randrange(1, 9))
        elif kind == "remove":
            del data[at : at + dice.randrange(1, 9)]
        else:
            data[at : at + 16] = bytes([dice.choice((0, 255, ord("9")))]) * len(data[at : at + 16])
        yield bytes(data)


def told(error: BaseException, path: Path) -> bool:
    return path.name in str(error) or path.parent.name in str(error)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def write_ours(path: Path) -> None:
    save_weights(path, STATE, {"name": "x", **Inputs((0.5,) * 3, (0.5,) * 3, 28).metadata()})


def write_old(path: Path) -> None:
    torch.save({"model": STATE}, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("name", "write", "is_checked"),
    [
        ("a.safetensors", write_ours, True),
        ("b.safetensors", lambda path: save_file(STATE, path), False),
        ("a.pth", lambda path: torch.save({"model": STATE}, path), True),
        (
            "a.ckpt",
            lambda path: torch.save({"state_dict": STATE, "epoch": 1, "callbacks": {"x": [1, None]}}, path),
            True,
        ),
        ("old.pth", write_old, False),
    ],
    ids=["our safetensors", "their safetensors", "pth", "ckpt", "pth from before zip"],
)
def test_weights(tmp_path: Path, name: str, write: Callable[[Path], object], is_checked: bool) -> None:
    path, refused = tmp_path / name, 0
    write(path)
    strings = read_metadata(path).items()
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        try:
            state = read_state(path)
        except ConfigError as error:
            assert told(error, path)
            refused += 1
        else:
            assert not is_checked or (same(state, STATE) and strings <= read_metadata(path).items()), content
    assert refused > ROUNDS // 3


def test_pickles_in_a_whole_archive(tmp_path: Path) -> None:
    """With checksums that are right: what a stranger makes on purpose."""
    path = tmp_path / "a.pth"
    torch.save({"model": STATE}, path)
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in records if name.endswith("data.pkl"))
    for content in damaged(records[name]):
        with zipfile.ZipFile(path, "w") as archive:
            for record, data in records.items():
                archive.writestr(record, content if record == name else data)
        try:
            read_state(path)
        except ConfigError as error:
            assert told(error, path)


VIEWS, INDICES = torch.tensor([0, 0, 1]), torch.tensor([5, 1, 3])


@pytest.mark.parametrize("top", [0, 3, 20], ids=["decisions", "largest logits", "all logits"])
def test_banks(tmp_path: Path, top: int) -> None:
    def opened() -> Bank:
        return Bank(tmp_path / "bank", {"seed": 0, "teacher": "x"}, num_images=10, num_classes=20, top=top)

    made = opened()
    made.write(VIEWS, INDICES, torch.randn(3, 20, generator=torch.Generator().manual_seed(0)))
    made.commit()
    files = sorted(path for path in (tmp_path / "bank").rglob("*") if path.is_file())
    shutil.copytree(tmp_path / "bank", tmp_path / "whole")
    for file in files:
        for content in damaged(file.read_bytes(), ROUNDS // len(files)):
            file.write_bytes(content)
            try:
                bank = opened()
                if bank.known(VIEWS, INDICES):
                    answer = bank.read(VIEWS, INDICES)
                    classes = answer if answer.dim() == 1 else answer.argmax(-1)
                    assert 0 <= int(classes.min()) <= int(classes.max()) < 20
            except (ConfigError, RunError) as error:
                assert str(tmp_path / "bank") in str(error)
        shutil.copy(tmp_path / "whole" / file.relative_to(tmp_path / "bank"), file)


def test_packs(config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(20):
        file = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (9 + number % 3, 12, 3), np.uint8)
        Image.fromarray(noise).save(file)
    settings = config("data=folder", "data.root=photos", "data.pack=8", "data.pack_path=pack", "data.workers=0").data
    dataset = open_dataset(settings)
    images = packed(dataset, settings).train.source
    assert isinstance(images, PackedImages)
    shutil.copytree("pack", "whole")
    for name in ("sizes.i32", "identity.json", "pixels.u8"):
        for content in damaged(Path("pack", name).read_bytes(), ROUNDS // 5):
            Path("pack", name).write_bytes(content)
            try:
                found = packed(dataset, settings).train.source
                assert all(found.picture(index).height > 0 for index in range(len(found)))
            except (ConfigError, RunError) as error:
                assert "pack" in str(error)
            shutil.rmtree("pack")
            shutil.copytree("whole", "pack")


@pytest.fixture
def run(leave_run: Callable[..., Path], tmp_path: Path) -> Path:
    return leave_run(tmp_path / "sweep/0", metrics={"test/acc1": 97.5, "val/acc1": 98.0}, epochs=5)


@pytest.mark.parametrize("name", ["run.json", "config.yaml", "metrics.csv"])
def test_what_a_run_leaves_is_reported_or_named(run: Path, name: str) -> None:
    whole = (run / name).read_bytes()
    for content in damaged(whole):
        (run / name).write_bytes(content)
        found = folders.read_run(run, "sweep/0")
        assert isinstance(found, folders.Run) or name in found.reason
        ledger.state(run, resume="auto")


def test_a_record_of_a_run_that_goes_on(run: Path, config: Callable[..., Config]) -> None:
    settings = config()
    for content in damaged((run / "run.json").read_bytes()):
        (run / "run.json").write_bytes(content)
        try:
            run_folder.finished(run, settings)
            run_folder.refuse_unfinished(run)
        except (ConfigError, RunError) as error:
            assert str(run) in str(error)


def test_metrics_of_a_run_that_goes_on(run: Path) -> None:
    for content in damaged((run / "metrics.csv").read_bytes()):
        (run / "metrics.csv").write_bytes(content)
        try:
            MetricsFile(run / "metrics.csv").resume_at(18)
        except ConfigError as error:
            assert "metrics.csv is damaged" in str(error)


def test_what_a_sweep_keeps_of_its_jobs(tmp_path: Path) -> None:
    texts = [f"seed: {seed}\noptim:\n  lr: 0.1\n  betas: [0.9, 0.99]\n" for seed in range(2)]
    ledger.freeze(tmp_path, texts)
    cells.keep(tmp_path / ledger.FROZEN, {1: 0})
    for content in damaged(ledger.frozen_file(tmp_path, 0).read_bytes()):
        ledger.frozen_file(tmp_path, 0).write_bytes(content)
        try:
            ledger.refuse_another_grid(tmp_path, texts)
        except ConfigError as error:
            assert str(tmp_path) in str(error)
    for content in damaged((tmp_path / ledger.FROZEN / cells.ORIGINS).read_bytes()):
        (tmp_path / ledger.FROZEN / cells.ORIGINS).write_bytes(content)
        try:
            origin = cells.origin_of(tmp_path / "1", ledger.FROZEN)
        except ConfigError as error:
            assert cells.ORIGINS in str(error)
        else:
            assert origin is None or origin.parent == tmp_path
