"""Each file that a run, a bank, a pack, a teacher and a sweep leave, damaged in five ways: none is silently different.

What is read is identical, or recovered with a warning, or refused by an error that names the file or its folder.
"""

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deit.config import cells, ledger, sealed
from deit.config.errors import ConfigError, RunError
from deit.config.own_data import Own, OwnChoice
from deit.config.schema import Config
from deit.config.teaching import BankMode
from deit.data.batches import TrainBatch
from deit.data.packing import packed
from deit.data.sources import open_dataset
from deit.distillation.bank import Bank
from deit.distillation.targets import BankTargets
from deit.launch import own_data
from deit.launch.cluster import SUBMITTED, InQueue
from deit.models.files import read_state, save_weights
from deit.report import folders
from deit.training import checkpoints
from deit.training.csvlog import MetricsFile
from deit.training.folder import RunFolder

BITS = 4  # places in each file at which one bit is changed
IDENTICAL, RECOVERED, REFUSED = "identical", "recovered with a warning", "refused"


def damages(file: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield ways to damage ``file``, each of which expects it whole."""
    content, dice = file.read_bytes(), random.Random(0)
    yield "deleted", file.unlink
    yield "emptied", lambda: file.write_bytes(b"")
    yield "halved", lambda: file.write_bytes(content[: len(content) // 2])
    yield "zeroed", lambda: file.write_bytes(bytes(len(content)))
    for _ in range(BITS if content else 0):
        changed = bytearray(content)
        changed[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        yield "one bit", lambda changed=changed: file.write_bytes(changed)


@dataclass
class Matrix:
    """Outcomes of a read after each damage to each file of a folder."""

    caplog: pytest.LogCaptureFixture
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def fill(self, folder: Path, read: Callable[[], object], *, unnamed: str = "") -> None:
        """Damage each file below ``folder`` in each way, and read; unnamed: a file that errors need not name."""
        expected, whole = read(), folder.parent.with_name(f"{folder.parent.name}.whole")
        shutil.copytree(folder, whole)
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            for damage, strike in damages(file):
                strike()
                outcome = self._outcome(read, expected, None if file.name == unnamed else file)
                assert outcome is not None, f"{file.relative_to(folder)}, {damage}: silently different"
                self.outcomes[damage, outcome] += 1
                shutil.rmtree(folder)
                shutil.copytree(whole, folder)
        shutil.rmtree(whole)

    def _outcome(self, read: Callable[[], object], expected: object, file: Path | None) -> str | None:
        self.caplog.clear()
        try:
            found = read()
        except (ConfigError, RunError) as error:
            names = [] if file is None else [file.name, file.parent.name, file.parents[1].name]
            assert file is None or any(name in str(error) for name in names), error
            return REFUSED
        if not alike(found, expected):
            return None
        has_warned = any(record.levelname == "WARNING" for record in self.caplog.records)
        return RECOVERED if has_warned else IDENTICAL


def alike(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other


@pytest.fixture
def matrix(
    caplog: pytest.LogCaptureFixture,
    record_property: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Matrix]:
    monkeypatch.setattr(os, "fsync", lambda number: None)  # which takes most of the time, and is of no effect here
    filled = Matrix(caplog)
    yield filled
    for (damage, outcome), count in filled.outcomes.items():
        record_property(f"{damage}, {outcome}", count)  # for who runs pytest with --junitxml


@pytest.fixture
def run(tmp_path: Path, config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that is done, as the classes that write its files leave it."""
    monkeypatch.setattr("deit.training.folder.environment", dict)  # which takes most of the time
    folder = RunFolder(tmp_path / "runs/0", config("seed=3"), ["seed=3"])
    metrics = MetricsFile(folder.path / "metrics.csv")
    for epoch in range(4):
        metrics.log_metrics({"epoch": epoch, "val/acc1": 90 + epoch / 8, "train/loss": 1.5 - epoch / 4}, 10 * epoch)
    columns = {"index": np.arange(40), "label": np.arange(40) % 10, "fused": np.arange(40) // 4 % 10}
    np.savez_compressed(tmp_path / "columns.npz", **columns)  # type: ignore[arg-type]
    sealed.write_listed(folder.path / "predictions.npz", (tmp_path / "columns.npz").read_bytes())
    (folder.path / "train.log").write_text("epoch 1\n")
    folder.done({"test/acc1": 91.25, "val/acc1": 90.375}, {"fit_s": 3.5}, test_split="test")
    return folder.path


def test_what_is_reported_of_a_run(run: Path, matrix: Matrix) -> None:
    def read() -> object:
        runs, unreadable = folders.read([run.parent])
        if unreadable or runs[0].problem:
            raise RunError(unreadable[0].reason if unreadable else str(runs[0].problem))
        found = runs[0]
        try:
            predictions = dict(found.predictions)
        except ValueError as error:
            raise RunError(str(error)) from None
        settings = (found.status, found.config, list(found.overrides))
        return settings, dict(found.metrics), dict(found.timing), dict(found.curves), predictions

    matrix.fill(run, read)
    assert matrix.outcomes["zeroed", REFUSED] == 5, "run.json, config.yaml, metrics.csv, predictions.npz, checksums"


@pytest.mark.slow
def test_what_a_run_goes_on_with(run: Path, matrix: Matrix, config: Callable[..., Config]) -> None:
    """Rows of its metrics, and whether its record is of the same configuration."""

    def read() -> object:
        RunFolder(run, config("seed=3"), ["seed=3"])._lock.close()
        metrics = MetricsFile(run / "metrics.csv")
        metrics.resume_at(30)
        return metrics.rows if (run / "config.yaml").read_bytes() else None

    rows: list[object] = []

    def lenient() -> object:
        """Rows that are lost with a warning are not missed: the weights are not among them."""
        was_there = (run / "metrics.csv").is_file()
        found = read()
        rows.append(found)
        return found if was_there else rows[0]

    matrix.fill(run, lenient)
    assert matrix.outcomes["deleted", RECOVERED] == 1, "metrics.csv"


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt"])
def test_checkpoints(tmp_path: Path, matrix: Matrix, name: str) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    state = {"state_dict": {"student.net.head.weight": torch.randn(30, 20)}, checkpoints.PROGRESS: {}, "global_step": 7}
    torch.save(state, folder / name)

    def read() -> object:
        if name == "best.ckpt":
            return read_state(folder / name)
        found, corrupt = checkpoints.newest(folder)
        if found is None:
            raise RunError(f"no last.ckpt in checkpoints, {corrupt}: the run begins anew")
        return checkpoints.step_of(found), read_state(found)

    matrix.fill(folder, read)
    assert matrix.outcomes["zeroed", REFUSED] == 1


def test_a_fitted_teacher(tmp_path: Path, matrix: Matrix) -> None:
    (tmp_path / "teachers").mkdir()
    file = tmp_path / "teachers/digits.safetensors"
    save_weights(file, {"a.weight": torch.randn(40, 9), "b": torch.ones(3).half()}, {"name": "x", "val_acc1": "97.5"})
    matrix.fill(file.parent, lambda: read_state(file))
    assert matrix.outcomes["one bit", IDENTICAL] == 0


class Teacher:
    def promise(self, images: torch.Tensor) -> Callable[[], torch.Tensor]:
        return lambda: torch.sin(images[:, 0, 0, :1] * torch.arange(1.0, 21)) * 4


@pytest.mark.parametrize("mode", [BankMode.replay, BankMode.auto])
@pytest.mark.parametrize("top", [0, 3, 20], ids=["decisions", "largest logits", "all logits"])
def test_a_bank(tmp_path: Path, matrix: Matrix, top: int, mode: BankMode) -> None:
    images = torch.arange(1.0, 9).view(8, 1, 1, 1).expand(8, 3, 2, 2)
    batch = TrainBatch(
        images, torch.empty(0), torch.arange(8) % 2, torch.arange(8) // 2, torch.zeros(8, dtype=torch.bool)
    )

    def read(mode: BankMode = mode) -> torch.Tensor:
        bank = Bank(tmp_path / "bank", {"seed": 0}, num_images=5, num_classes=20, top=top)
        targets = BankTargets(bank, Teacher(), mode)  # type: ignore[arg-type]
        found = targets.promise(batch)()
        targets.commit()
        return found

    read(BankMode.record)
    matrix.fill(tmp_path / "bank", read)
    if mode is BankMode.replay:
        assert matrix.outcomes["zeroed", REFUSED] >= 3, "identity and decisions of both views"


def test_a_pack(tmp_path: Path, matrix: Matrix, config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(20):
        file = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (9 + number % 3, 12, 3), np.uint8)
        Image.fromarray(noise).save(file)
    settings = config("data=folder", "data.root=photos", "data.pack=8", "data.pack_path=pack", "data.workers=0").data
    dataset = open_dataset(settings)

    def read() -> list[np.ndarray]:
        found = packed(dataset, settings).train.source
        return [found.picture(index).rows(0, found.picture(index).height) for index in range(len(found))]

    matrix.fill(tmp_path / "pack", read)
    assert matrix.outcomes["zeroed", RECOVERED] == 3, "pixels, checksums of these and of the files"


def test_a_sweep(tmp_path: Path, matrix: Matrix, caplog: pytest.LogCaptureFixture) -> None:
    sweep, jobs = tmp_path / "sweep", [[f"seed={seed}"] for seed in range(3)]
    texts = [f"seed: {seed}\noptim:\n  lr: 0.1\n  betas: [0.9, 0.99]\n" for seed in range(3)]
    own = Own(choice=OwnChoice.scratch, reasons=["few images"])
    ledger.freeze(sweep, texts)
    cells.keep(sweep / ledger.FROZEN, {2: 0})
    own_data.keep(sweep, {1: own})
    sealed.write_atomically(sweep / ledger.FROZEN / SUBMITTED, sealed.record_text({"0": "4711"}))

    def read() -> object:
        for note in ledger.lost(sweep):
            own_data.log.warning(note)
        ledger.refuse_another_grid(sweep, texts, jobs)
        if (origin := cells.origin_of(sweep / "2", ledger.FROZEN)) is None:
            raise ConfigError(cells.no_origin(["cell=[b]"]))
        place = InQueue.__new__(InQueue)
        place.record, place.states = sweep / ledger.FROZEN / SUBMITTED, {"4711": "RUNNING"}
        submitted = place._submitted()
        decided = own_data._of_sweep(sweep / "1") or own
        ledger.freeze(sweep, texts)
        return ledger.frozen(sweep), origin, submitted, decided

    matrix.fill(sweep, read, unnamed=cells.ORIGINS)
    assert matrix.outcomes["emptied", RECOVERED] == 4, "three configurations and own.yaml"
    assert matrix.outcomes["emptied", REFUSED] == 2, "origins.yaml and slurm.json, whose jobs are in the queue"
