"""Runs find their cells by what they are; a table holds runs of one kind alone and says what is missing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deit.report import published
from deit.report.cells import FilledTable, fill
from deit.report.folders import read
from deit.report.seeds import groups

Leave = Callable[..., Path]
TABLES = published.tables()


def filled(folder: Path) -> dict[str, FilledTable]:
    return {table.file_name: table for table in fill(TABLES, groups(read([folder])[0]))}


def means(table: FilledTable) -> dict[tuple[int, int], float]:
    return {place: cell.estimate.mean for place, cell in table.cells.items() if cell.estimate is not None}


def test_table_3_is_filled_by_its_sweep(table3_sweep: Path) -> None:
    table = filled(table3_sweep)["table3-nano-digits"]
    assert (table.num_filled, table.remarks, list(table.missing())) == (24, [], [])
    found = means(table)
    # The mean over seeds adds 2; see left_runs.accuracy.
    assert [found[r, 0] for r in range(6)] == [52, 62, 72, 81, 81.5, 82]
    assert [found[5, c] for c in range(4)] == [82, 83, 84, 85]
    estimate = table.cells[0, 0].estimate
    assert estimate is not None
    assert (estimate.n, estimate.half_width) == (3, pytest.approx(4.9683, abs=1e-4))
    assert table.delta((0, 0)) == pytest.approx(52 - 72.2)


def test_the_same_runs_fill_what_other_tables_share_with_it(table3_sweep: Path) -> None:
    tables = filled(table3_sweep)
    assert means(tables["table1-nano-digits"])[0, 3] == pytest.approx(0.175604)  # millions
    assert means(tables["table2-nano-digits"])[4, 0] == 99
    assert means(tables["table10-nano-digits"]) == {(1, 0): 300, (1, 1): 54, (3, 0): 300, (3, 1): 55}
    assert means(tables["figure3-nano-digits"]) == {(0, 0): 54, (0, 1): 64, (0, 2): 74, (0, 3): 84, (0, 4): 85}
    assert "table8-nano-digits" not in tables  # digits bring augment=light, which is no row of it
    assert "table7-nano" not in tables


@pytest.mark.parametrize(("name", "place"), [("table1", (0, 4)), ("table5", (20, 2)), ("table10", (1, 0))])
def test_throughput_says_what_it_was_measured_on_and_is_not_compared(
    table3_sweep: Path, name: str, place: tuple[int, int]
) -> None:
    table = filled(table3_sweep)[f"{name}-nano-digits"]
    assert (means(table)[place], table.delta(place)) == (300, None)
    assert "images/s of inference on one device (Abacus, batch 256); the paper's is a V100, so no Δ" in table.remarks


def test_the_tokens_are_compared_as_learnt_and_behind_the_last_block(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "0", "distill=hard", "model=deit_b", metrics={}, token_cosine=[0.1, 0.5, 0.9])
    leave_run(tmp_path / "1", "cell=[two_tokens]", "model=deit_b", metrics={}, token_cosine=[0.2, 0.6, 0.99])
    leave_run(tmp_path / "2", "distill=hard", "model=deit_s", metrics={}, token_cosine=[0.3, "?", 0.9])
    table = filled(tmp_path)["token_cosine-nano-digits"]
    assert means(table) == {(0, 2): 0.1, (1, 2): 0.9, (2, 2): 0.2}
    assert dict(table.missing())["after the last block"] == {
        "run.json has no token_cosine/output": ["DeiT-S"],
        "no run": ["DeiT-Ti"],
    }


def test_a_half_finished_sweep_says_what_is_missing(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "0", "distill=none", metrics={"test/acc1": 90.0, "test/acc1_class": 90.0})
    leave_run(tmp_path / "1", "distill=none", "model=deit_s", status="failed", error="RunError: no disk")
    leave_run(tmp_path / "2", "distill=none", "model=deit_b", status="running")
    leave_run(tmp_path / "3", "distill=hard", metrics={"test/acc1": 90.0})
    leave_run(tmp_path / "4", "distill=hard", "model=deit_s", status="preempted", epochs=1)
    missing = dict(filled(tmp_path)["table3-nano-digits"].missing())
    assert missing["no distillation"] == {
        "failed (RunError: no disk)": ["S 224"],
        "running (epoch 3 of 45)": ["B 224"],
        "no run": ["B ↑384"],
    }
    assert missing["hard, token: class head"] == {
        "run.json has no test/acc1_class": ["Ti 224"],
        "preempted (epoch 1 of 45)": ["S 224"],
        "no run": ["B 224", "B ↑384"],
    }


def test_a_sweep_that_lost_a_job_keeps_the_other_seeds(table3_sweep: Path, tmp_path: Path) -> None:
    shutil.copytree(table3_sweep, tmp_path / "sweep")
    shutil.rmtree(tmp_path / "sweep/0")
    estimate = filled(tmp_path)["table3-nano-digits"].cells[0, 0].estimate
    assert estimate is not None
    assert (estimate.mean, estimate.n) == (53, 2)


def test_scales_and_data_sets_are_kept_apart(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "a", "distill=none", metrics={"test/acc1": 90.0})
    leave_run(tmp_path / "b", "distill=none", "scale=paper", "data=imagenet", metrics={"test/acc1": 70.0})
    leave_run(tmp_path / "c", "distill=none", "data=cifar10", metrics={"test/acc1": 80.0})
    tables = filled(tmp_path)
    found = {name: means(table)[0, 0] for name, table in tables.items() if name.startswith("table3")}
    assert found == {"table3-nano-digits": 90, "table3-paper-imagenet": 70, "table3-nano-cifar10": 80}


def test_changes_of_the_training_do_not_mix_with_the_default(leave_run: Leave, tmp_path: Path) -> None:
    deit = ("distill=none", "model=deit_b", "augment=deit")
    leave_run(tmp_path / "0", *deit, metrics={"test/acc1": 90.0})
    leave_run(tmp_path / "1", *deit, "augment.mixup=0", metrics={"test/acc1": 80.0})
    leave_run(tmp_path / "2", *deit, "optim=sgd", metrics={"test/acc1": 70.0})
    leave_run(tmp_path / "3", *deit, "model.dropout=0.1", metrics={"test/acc1": 60.0})
    leave_run(tmp_path / "4", *deit, "optim.ema=0.999", metrics={"test/acc1": 89.0, "test/acc1_ema": 50.0})
    leave_run(tmp_path / "5", *deit, "resolution=384", f"init={tmp_path}/1/checkpoints/best.ckpt",
              metrics={"test/acc1": 40.0})  # fmt: skip
    leave_run(tmp_path / "6", "distill=hard", "augment=deit", metrics={"test/acc1_class": 91.0})
    tables = filled(tmp_path)
    table8 = tables["table8-nano-digits"]
    rows = [row.label for row in table8.table.rows]
    found = {(rows[r], table8.table.columns[c].label): mean for (r, c), mean in means(table8).items()}
    assert found == {
        ("as DeiT-B", "224"): 90,
        ("fine-tuning with SGD", "224"): 90,
        ("pretraining with SGD", "224"): 70,
        ("no Mixup", "224"): 80,
        ("no Mixup", "↑384"): 40,
        ("dropout", "224"): 60,
        ("moving average of the weights", "224"): 50,
    }
    table3 = tables["table3-nano-digits"]
    assert means(table3)[0, 2] == 90
    assert means(table3)[3, 0] == 91
    assert any(remark.startswith("left out, 3 more configurations") for remark in table3.remarks)


def test_of_several_configurations_that_with_most_seeds_is_shown_and_the_others_are_named(
    leave_run: Leave, tmp_path: Path
) -> None:
    leave_run(tmp_path / "a", "distill=soft", "distill.token=false", "distill.tau=1", metrics={"test/acc1": 80.0})
    for seed in (0, 1):
        overrides = ("distill=soft", "distill.token=false", f"seed={seed}")
        leave_run(tmp_path / f"b{seed}", *overrides, metrics={"test/acc1": 90.0})
    table = filled(tmp_path)["table3-nano-digits"]
    assert means(table)[1, 0] == 90
    name = tmp_path.name
    assert table.remarks == [f"a cell has several configurations; shown is that of {name}/b0, not of {name}/a"]


def test_runs_of_fewer_epochs_fill_cells_with_a_remark(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "a", "distill=none", "optim.epochs=3", metrics={"test/acc1": 80.0})
    table = filled(tmp_path)["table3-nano-digits"]
    assert means(table)[0, 0] == 80
    assert table.remarks == ["trained for 3 epochs of the 45 that the scale has"]


def test_a_run_that_misses_its_cell_by_one_fact_is_named(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "s/0", "distill=none", metrics={"test/acc1": 80.0})
    leave_run(tmp_path / "s/1", "distill=none", "model=deit_b", "resolution=384", metrics={"test/acc1": 80.0})
    leave_run(tmp_path / "s/2", "distill=hard", "teacher=resnet50", metrics={"test/acc1": 80.0})
    leave_run(tmp_path / "s/3", "distill=none", "model=deit3_b", metrics={"test/acc1": 80.0})
    assert filled(tmp_path / "s")["table3-nano-digits"].remarks == [
        "in no cell because of finetuned=false alone: s/1",
        "in no cell because of teacher_net=resnet50 alone: s/2",
    ]


def test_dry_runs_fill_no_cell(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "a", "distill=none", "trainer.limit_batches=2", metrics={"test/acc1": 80.0})
    table = filled(tmp_path)["table3-nano-digits"]
    assert means(table) == {}
    assert dict(table.missing())["no distillation"]["dry run"] == ["Ti 224"]


def test_transfer_is_one_table_over_data_sets(leave_run: Leave, tmp_path: Path) -> None:
    start = ("distill=none", "model=deit_b", "scale=paper", "init=timm:deit_base_patch16_224.fb_in1k")
    for data, acc in (("cifar10", 99.0), ("cifar100", 91.0)):
        leave_run(tmp_path / data, *start, f"data={data}", metrics={"test/acc1": acc})
    assert means(filled(tmp_path)["table7-paper"]) == {(8, 1): 99, (8, 2): 91}


def test_names_from_a_file_make_harmless_file_names(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "a", "distill=none", "data.name='../../x'", metrics={"test/acc1": 80.0})
    assert "table3-nano-_x" in filled(tmp_path)
