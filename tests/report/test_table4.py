"""Table 4 is counted from what runs decided, image by image, within a run and across two."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deit.report import predictions, published
from deit.report.cells import FilledTable, fill
from deit.report.folders import read
from deit.report.predictions import disagreement, read_predictions
from deit.report.seeds import Estimate, groups
from deit.training.closing import PREDICTIONS

Leave = Callable[..., Path]
TABLES = published.tables()
LABEL = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def decided(*wrong: int) -> list[int]:
    """The labels, but for so many images of each kind another class: the n-th mistake is always the same."""
    return [(label + 1) % 10 if label in wrong else label for label in LABEL]


DISTILLED = {
    "label": LABEL,
    "teacher": decided(0),
    "class": decided(1, 2, 3),
    "distill": decided(0, 1),
    "fused": decided(0, 1, 2),
}
ALONE = {"label": LABEL, "class": decided(5, 6, 7, 8)}


def leave_both(leave_run: Leave, folder: Path, *overrides: str) -> None:
    leave_run(folder / "token", "model=deit_b", "distill=hard", *overrides, predictions=DISTILLED)
    leave_run(folder / "alone", "model=deit_b", "distill=none", *overrides, predictions=ALONE)


def table4(folder: Path) -> FilledTable:
    return next(table for table in fill(TABLES, groups(read([folder])[0])) if table.table.name == "table4")


def matrix(table: FilledTable) -> list[list[float | None]]:
    of = {place: cell.estimate.mean for place, cell in table.cells.items() if cell.estimate is not None}
    return [[of.get((r, c)) for c in range(6)] for r in range(6)]


def reasons(table: FilledTable) -> set[str]:
    return {reason for _, by_reason in table.missing() for reason in by_reason}


def test_two_runs_fill_the_whole_table(leave_run: Leave, tmp_path: Path) -> None:
    leave_both(leave_run, tmp_path)
    table = table4(tmp_path)
    assert matrix(table) == [
        [None, 0.1, 0.4, 0.3, 0.2, 0.3],
        [0.1, None, 0.5, 0.4, 0.1, 0.2],
        [0.4, 0.5, None, 0.7, 0.6, 0.7],
        [0.3, 0.4, 0.7, None, 0.3, 0.2],
        [0.2, 0.1, 0.6, 0.3, None, 0.1],
        [0.3, 0.2, 0.7, 0.2, 0.1, None],
    ]
    assert (list(table.missing()), table.remarks) == ([], [])
    assert table.delta((3, 2)) == pytest.approx(0.7 - 0.109)


def test_runs_are_compared_seed_by_seed(leave_run: Leave, tmp_path: Path) -> None:
    leave_both(leave_run, tmp_path / "0", "seed=0")
    leave_run(tmp_path / "1", "model=deit_b", "distill=hard", "seed=1", predictions=DISTILLED)
    leave_run(tmp_path / "2", "model=deit_b", "distill=none", "seed=2", predictions=ALONE | {"class": LABEL})
    table = table4(tmp_path)
    assert table.cells[3, 4].estimate == Estimate(0.3, 0.0, 2)  # two seeds of one run
    assert table.cells[2, 4].estimate == Estimate(0.6, None, 1)  # one seed that both runs have


def test_without_a_seed_in_common_nothing_is_compared(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "1", "model=deit_b", "distill=hard", "seed=1", predictions=DISTILLED)
    leave_run(tmp_path / "2", "model=deit_b", "distill=none", "seed=2", predictions=ALONE)
    table = table4(tmp_path)
    assert table.num_filled == 22
    assert reasons(table) == {"no seed in common"}


def test_one_run_fills_its_part_and_the_other_is_missed(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "0", "model=deit_b", "distill=hard", predictions=DISTILLED)
    table = table4(tmp_path)
    assert table.num_filled == 20
    assert reasons(table) == {"no run", "no run to compare with"}


def test_a_run_that_is_not_done_says_so(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "0", "model=deit_b", "distill=hard", predictions=DISTILLED)
    leave_run(tmp_path / "1", "model=deit_b", "distill=none", status="running")
    assert reasons(table4(tmp_path)) == {"running (epoch 3 of 45)"}


def test_a_run_of_other_augmentation_is_not_compared(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "0", "model=deit_b", "distill=hard", predictions=DISTILLED)
    leave_run(tmp_path / "1", "model=deit_b", "distill=none", "augment=none", predictions=ALONE)
    assert table4(tmp_path).cells[2, 4].estimate is None


def test_damage_is_named_and_leaves_its_cells_empty(leave_run: Leave, tmp_path: Path) -> None:
    leave_both(leave_run, tmp_path / "s")
    (tmp_path / "s/alone/predictions.npz").write_bytes(b"PK\x03\x04 and no more")
    table = table4(tmp_path / "s")
    assert table.num_filled == 20
    assert reasons(table) == {"s/alone: predictions.npz is damaged or cut off: File is not a zip file"}
    (tmp_path / "s/token/predictions.npz").unlink()
    assert "s/token: predictions.npz is missing" in reasons(table4(tmp_path / "s"))


def test_one_damaged_seed_leaves_the_others_and_is_named(leave_run: Leave, tmp_path: Path) -> None:
    leave_both(leave_run, tmp_path / "s/0", "seed=0")
    leave_both(leave_run, tmp_path / "s/1", "seed=1")
    (tmp_path / "s/1/alone/predictions.npz").unlink()
    table = table4(tmp_path / "s")
    assert table.cells[2, 4].estimate == Estimate(0.6, None, 1)
    assert table.remarks == ["s/1/alone: predictions.npz is missing"]


def columns(**changed: object) -> dict[str, np.ndarray]:
    known = {"index": np.arange(10), "label": np.array(LABEL), "class": np.array(decided(1))}
    return {name: np.asarray(value) for name, value in (known | changed).items() if value is not None}


def test_other_test_images_are_not_compared() -> None:
    for change in ({"index": np.arange(1, 11)}, {"label": decided(9)}):
        with pytest.raises(ValueError, match="no predictions of the same test images"):
            disagreement(columns(), "class", columns(**change), "class")
    with pytest.raises(ValueError, match="has no teacher; it has index, label, class"):
        disagreement(columns(), "class", columns(), "teacher")


def packed(file: Path, **arrays: np.ndarray) -> None:
    np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "change",
    [
        {"label": None},
        {"class": np.arange(9)},
        {"class": np.linspace(0, 1, 10)},
        {"class": np.zeros((10, 1), np.int16)},
        {"class": np.int16(3)},
    ],
    ids=["no labels", "one too few", "fractions", "two dimensions", "a number"],
)
def test_what_is_no_class_an_image_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    packed(tmp_path / "predictions.npz", **columns(**change))
    with pytest.raises(ValueError, match=r"predictions.npz is not a run's"):
        read_predictions(tmp_path)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    packed(tmp_path / "predictions.npz", **columns(teacher=np.array([print] * 10, dtype=object)))
    with pytest.raises(ValueError, match="damaged or cut off: Object arrays cannot be loaded"):
        read_predictions(tmp_path)


def test_a_file_cut_off_anywhere_or_changed_within_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "predictions.npz"
    packed(file, **columns())
    whole = file.read_bytes()
    for cut in range(0, len(whole), 40):
        file.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"predictions\.npz is damaged or cut off"):
            read_predictions(tmp_path)
    changed = bytearray(whole)
    changed[120] ^= 0xFF  # within the first array
    file.write_bytes(changed)
    with pytest.raises(ValueError, match=r"predictions\.npz is damaged or cut off"):
        read_predictions(tmp_path)


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "LARGEST", 2**20)
    array = io.BytesIO()
    np.save(array, np.zeros(2**18, np.int64))
    with zipfile.ZipFile(tmp_path / "predictions.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("index.npy", array.getvalue())
    assert (tmp_path / "predictions.npz").stat().st_size < 2**14
    with pytest.raises(ValueError, match="unpacks to more than 1,048,576 bytes"):
        read_predictions(tmp_path)


def test_the_file_read_is_the_one_written() -> None:
    assert predictions.PREDICTIONS == PREDICTIONS
