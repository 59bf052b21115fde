"""The paper's experiments: each composes at both scales, and its jobs fill the table that it is named after."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hydra import compose

from deit.config import cells, rules
from deit.config.compose import plain
from deit.config.notes import notes_of
from deit.config.preflight import expand, swept
from deit.config.schema import OF_SWEEP, Config
from deit.report import published
from deit.report.cells import FilledTable, fill
from deit.report.folders import Run
from deit.report.seeds import groups

CONF = Path(__file__).parents[2] / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment/paper").glob("*.yaml"))
TABLES = {table.name: table for table in published.tables()}
NUM_JOBS = {
    "table1_models": 3, "table2_teachers": 10, "table3_distillation": 16, "table4_disagreement": 2,
    "table5_throughput": 12, "table7_transfer": 28, "table8_ablation": 25, "table10_resolution": 4,
    "figure3_epochs": 25, "token_analysis": 6,
}  # fmt: skip
SETTINGS = {"nano": ("scale=nano",), "paper": ("scale=paper", "data=imagenet", "data.root=somewhere")}
FILES = ("data.root=", "needs the folder", "are not in")  # what rules say of data that are not on this machine


def table_of(experiment: str) -> published.Table:
    name = experiment.partition("_")[0]
    return TABLES["token_cosine" if name == "token" else name]


def typed_as(experiment: str, scale: str) -> list[str]:
    """A user's line; the transfers bring their data along."""
    own = [s for s in SETTINGS[scale] if not (experiment == "table7_transfer" and s.startswith("data="))]
    return [f"experiment=paper/{experiment}", *own]


@pytest.fixture
def jobs(config: Callable[..., Config]) -> Callable[..., list[list[str]]]:
    """The overrides of each job of a line that is typed with ``-m``."""

    def expanded(*overrides: str) -> list[list[str]]:
        config()  # tells Hydra where conf/ is
        base = [override for override in overrides if "," not in override]  # Hydra composes a sweep's base so
        return expand(list(overrides), swept(compose("train", overrides=base, return_hydra_config=True)))

    return expanded


def dotted(node: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def finished(configs: list[Config], starts: list[int | None]) -> list[Run]:
    """The runs that a sweep of ``configs`` leaves, with every figure there is."""
    figures = {cell.figure: 50.0 for table in TABLES.values() for _, _, cell in table.cells() if cell.figure}
    runs: list[Run] = []
    for number, (config, start) in enumerate(zip(configs, starts, strict=True)):
        known = dict(dotted(cast(dict, plain(config))))
        if config.init == OF_SWEEP:
            known["init"] = f"logs/sweeps/s/{start}/checkpoints/best.ckpt"
        run = Run(
            path=Path(f"logs/sweeps/s/{number}"),
            name=f"s/{number}",
            status="done",
            config=known,
            metrics=figures,
            timing={"images_per_s": 1.0, "inference_images_per_s": 2.0},
            parameters=1,
            token_cosine=[0.1, 0.9] if config.token else [],
        )
        run.__dict__["predictions"] = predictions(config)  # in the place of what is read from the run's folder
        runs.append(run)
    return runs


def predictions(config: Config) -> dict[str, np.ndarray]:
    """What a run of ``config`` decides for three images."""
    names = ["index", "label", "class"]
    names += ["distill", "fused"] if config.token else []
    names += ["teacher"] if config.uses_teacher else []
    return {name: np.arange(3) for name in names}


def filled(table: published.Table, runs: list[Run]) -> FilledTable:
    (only,) = fill([table], groups(runs))
    return only


def test_there_is_an_experiment_for_all_that_varies_something() -> None:
    assert set(EXPERIMENTS) == NUM_JOBS.keys()
    assert {table_of(name).name for name in EXPERIMENTS} == TABLES.keys()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_opens_with_its_claim(name: str) -> None:
    text = (CONF / f"experiment/paper/{name}.yaml").read_text()
    assert text.startswith("# @package _global_\n# Claim: ")
    for heading in ("Source", "Cost", "Command"):
        assert re.search(rf"^# {heading}: .+", text, re.MULTILINE), heading
    assert re.search(rf"^# Command: python src/train.py experiment=paper/{name} .*-m$", text, re.MULTILINE)
    assert f"# Cost: {NUM_JOBS[name]} jobs; " in text


@pytest.mark.parametrize("scale", ["nano", "paper"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_jobs_fill_their_table(
    jobs: Callable[..., list[list[str]]], config: Callable[..., Config], name: str, scale: str
) -> None:
    expanded = jobs(*typed_as(name, scale))
    assert len(expanded) == NUM_JOBS[name]
    starts = cells.origins(expanded)
    configs = [config(*job) for job in expanded]
    for one, start in zip(configs, starts, strict=True):
        assert [text for text in rules.problems(one) if not any(word in text for word in FILES)] == []
        assert one.init is None or start is not None, "fine-tuning starts from an earlier job"
    table = filled(table_of(name), finished(configs, starts))
    assert list(table.missing()) == []
    assert table.remarks == [], "no run is left out, none is shortened"
    used = {run.name for cell in table.cells.values() for run in cell.runs}
    assert len(used) == len(expanded), "no job is in vain"


def test_seeds_make_each_cell_a_mean(jobs: Callable[..., list[list[str]]]) -> None:
    expanded = jobs("experiment=paper/table10_resolution", "seed=0,1,2")
    assert len(expanded) == 12
    starts = cells.origins(expanded)
    assert starts[3:6] == [0, 1, 2], "a fine-tuning starts from the job of its own seed"


def test_what_is_typed_wins_over_the_experiment(jobs: Callable[..., list[list[str]]]) -> None:
    assert len(jobs("experiment=paper/table1_models", "model=deit_s")) == 1
    assert len(jobs("experiment=paper/table3_distillation", "cell=[none,b],[none,b,up_384]")) == 2


def test_a_length_is_the_scales(config: Callable[..., Config]) -> None:
    lengths = [config(f"optim.paper_epochs={n}").optim.epochs for n in (300, 400, 500, 800, 1000)]
    assert lengths == [45, 60, 75, 120, 150]
    assert config("scale=paper", "optim.paper_epochs=800").optim.epochs == 800
    assert config("scale.epochs=9", "optim.paper_epochs=1000").optim.epochs == 30
    both = config("optim.epochs=7", "optim.paper_epochs=1000")
    assert both.optim.epochs == 7
    assert "optim.paper_epochs=1000 has no effect beside optim.epochs=7" in notes_of(both)
    assert not any("paper_epochs" in note for note in notes_of(config("optim.paper_epochs=1000")))


def test_a_grid_at_nano_scale_has_shorter_runs(config: Callable[..., Config]) -> None:
    figure3 = "experiment=paper/figure3_epochs"
    assert config(figure3).optim.epochs == 12
    assert config(figure3, "optim.paper_epochs=1000").optim.epochs == 40
    assert config(figure3, "scale=paper", "optim.paper_epochs=1000").optim.epochs == 1000
    assert config(figure3, "scale.epochs=45").optim.epochs == 45


def test_fine_tuning_at_paper_scale_is_the_published_command(config: Callable[..., Config]) -> None:
    c = config("scale=paper", "cell=[token,b,up_384]")
    assert (c.image_size, c.optim.batch_size, c.optim.epochs, c.optim.weight_decay) == (384, 512, 30, 1e-8)
    assert c.optim.peak_lr == c.optim.min_lr == 5e-6
    assert c.model.eval_mode
    assert c.teacher.same_size
    assert c.init == OF_SWEEP
