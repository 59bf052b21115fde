"""The study's grids: what they cost is written in them, and their jobs are all that the claims need."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose

from deit.config import cells, rules
from deit.config.preflight import expand, swept
from deit.config.schema import Config
from deit.report.seeds import Estimate
from deit.study.claims import BY_CONVNETS, BY_DEIT, CLAIMS
from deit.study.settings import settings
from study_runs import run

CONF = Path(__file__).parents[2] / "conf/experiment/study"
NUM_JOBS = {"little": 33, "full": 12}
OF_LITTLE_ALONE = {
    "convnet over transformer", "longer, taught", "longer, taught over alone",
    "resolution, alone", "resolution, taught",
}  # fmt: skip


@pytest.fixture
def grid(config: Callable[..., Config]) -> Callable[..., list[list[str]]]:
    """The overrides of each job of a grid on Fashion-MNIST."""

    def expanded(name: str, *overrides: str) -> list[list[str]]:
        config()  # tells Hydra where conf/ is
        base = [f"experiment=study/{name}", "data=fashion_mnist"]
        return expand([*base, *overrides], swept(compose("train", overrides=base, return_hydra_config=True)))

    return expanded


@pytest.mark.parametrize("name", NUM_JOBS)
def test_a_grid_opens_with_its_claim_and_its_cost(name: str) -> None:
    text = (CONF / f"{name}.yaml").read_text()
    assert text.startswith("# @package _global_\n# Claim: ")
    assert f"# Cost: {NUM_JOBS[name]} jobs, " in text
    assert re.search(rf"^# Command: python src/train.py experiment=study/{name} .*-m$", text, re.MULTILINE)


@pytest.mark.parametrize("name", NUM_JOBS)
def test_every_job_can_run(grid: Callable[..., list[list[str]]], config: Callable[..., Config], name: str) -> None:
    assert len(grid(name)) == NUM_JOBS[name]
    jobs = grid(name, "seed=0")
    for job, start in zip(jobs, cells.origins(jobs), strict=True):
        one = config(*job, "data.download=true")  # Fashion-MNIST need not be on this machine
        assert list(rules.problems(one)) == []
        assert one.init is None or start is not None, "fine-tuning starts from an earlier job"


@pytest.mark.parametrize("name", NUM_JOBS)
def test_the_jobs_are_what_the_claims_need(grid: Callable[..., list[list[str]]], name: str) -> None:
    names = [(",".join(cells.split(job)[0]), seed_of(job)) for job in grid(name)]
    teachers = dict(zip((*BY_CONVNETS, BY_DEIT), (60, 70, 80, 75), strict=True))
    (setting,) = settings([run(cell, seed=seed, teacher=teachers.get(cell, 80)) for cell, seed in names])
    measured = {claim.name for claim in CLAIMS if isinstance(setting.over_seeds(claim.difference), Estimate)}
    assert measured == {claim.name for claim in CLAIMS} - (OF_LITTLE_ALONE if name == "full" else set())
    assert len(setting.seeds) >= 3


def test_more_seeds_follow_at_the_end(grid: Callable[..., list[list[str]]]) -> None:
    first = grid("little")
    assert grid("little", "seed=0,1,2,3")[: len(first)] == first


def seed_of(job: list[str]) -> int:
    return next(int(override.removeprefix("seed=")) for override in job if override.startswith("seed="))
