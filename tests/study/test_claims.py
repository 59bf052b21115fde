"""The paper's claims: what each is a difference of, and which verdict an interval gives."""

import math
from collections.abc import Callable

import pytest

from deit.config.errors import ConfigError
from deit.report import published
from deit.report.seeds import Estimate
from deit.report.texts import signed
from deit.study.claims import BY_CONVNETS, BY_DEIT, CLAIMS, Verdict, under_convnet, verdict
from deit.study.settings import Missing, Seed, Setting, settings
from deit.study.tables import difference_text
from study_runs import run


def by_name(name: str) -> Callable[[Seed], float]:
    return next(claim.difference for claim in CLAIMS if claim.name == name)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([1.0, 2.0, 3.0], Verdict.open),
        ([1.9, 2.0, 2.1], Verdict.confirmed),
        ([-1.9, -2.0, -2.1], Verdict.opposite),
        ([5.0], Verdict.open),
        ([2.0, 2.0, 2.0], Verdict.confirmed),
        ([0.0, 0.0, 0.0], Verdict.open),
    ],
)
def test_the_interval_decides(values: list[float], says: Verdict) -> None:
    assert verdict(Estimate.of(values)) is says


def test_differences_are_of_one_seed_each() -> None:
    """Seeds that differ by 20 points and a teacher's gain of 1, 2, 3: 2 ± 4.303 / sqrt(3)."""
    runs = [run(c, 20.0 * s + g, seed=s) for s in range(3) for c, g in (("none", 0), ("hard", s + 1))]
    (setting,) = settings(runs)
    found = setting.over_seeds(by_name("hard over none"))
    assert isinstance(found, Estimate)
    assert (found.mean, found.n) == (pytest.approx(2.0), 3)
    assert found.half_width == pytest.approx(4.302653 / math.sqrt(3))


def test_a_seed_without_one_of_the_runs_does_not_count() -> None:
    (setting,) = settings([run("none", 50, seed=0), run("hard", 53, seed=0), run("none", 50, seed=1)])
    assert setting.over_seeds(by_name("hard over none")) == Estimate(3.0, None, 1)
    assert setting.over_seeds(by_name("hard over soft")) == "no run of cell=[soft]"


def test_both_heads_are_compared_with_the_better_one() -> None:
    (setting,) = settings([run("token", 70)])
    assert setting.over_seeds(by_name("both heads over the better one")) == Estimate(1.0, None, 1)
    assert setting.over_seeds(by_name("distillation head over class head")) == Estimate(1.0, None, 1)


def test_a_convnet_of_equal_accuracy_lies_between_two() -> None:
    figures = zip(BY_CONVNETS, (50, 60, 64), (40, 60, 80), strict=True)
    runs = [run(cell, student, teacher=teacher) for cell, student, teacher in figures]
    (setting,) = settings([*runs, run(BY_DEIT, 55, teacher=70)])
    (seed,) = setting.seeds
    assert [under_convnet(seed, accuracy) for accuracy in (40, 50, 60, 70, 80)] == [50, 55, 60, 62, 64]
    assert by_name("convnet over transformer")(seed) == 7
    with pytest.raises(Missing, match=r"no convnets on both sides of 81\.0 %: 40\.0, 60\.0, 80\.0"):
        under_convnet(seed, 81)


def test_convnets_of_equal_accuracy_are_no_division_by_zero() -> None:
    (setting,) = settings([run(cell, 50, teacher=60) for cell in BY_CONVNETS])
    assert under_convnet(setting.seeds[0], 60) == 50


def test_agreement_is_counted_image_by_image() -> None:
    """Of four images the heads decide 2, 3 and 3 times as the teacher does, the student alone once."""
    token = {"class": [0, 1, 9, 9], "distill": [0, 1, 2, 9], "fused": [0, 1, 2, 8]}
    (setting,) = settings([run("token", decided=token), run("none", decided={"class": [0, 9, 9, 8]})])
    (seed,) = setting.seeds
    expected = {
        "agrees with the convnet: distillation head over class head": 25,
        "agrees with the convnet: taught over alone": 50,
        "taught agrees: with the convnet over the other student": 25,
    }
    assert {name: by_name(name)(seed) for name in expected} == expected


def test_what_longer_training_brings_is_compared_with_what_it_brings_alone() -> None:
    gains = {"token": 60, "token,half": 55, "none": 50, "none,half": 48}
    (setting,) = settings([run(cell, accuracy) for cell, accuracy in gains.items()])
    assert by_name("longer, taught")(setting.seeds[0]) == 5
    assert by_name("longer, taught over alone")(setting.seeds[0]) == 3


def test_the_papers_figures_are_those_of_its_tables() -> None:
    """But for Table 5's 1000 epochs and what is computed of two figures."""
    known = {cell.paper for table in published.tables() for _, _, cell in table.cells()}
    known |= {round(100 * (1 - value), 1) for value in known if isinstance(value, float) and value < 1}
    for claim in CLAIMS:
        if "1000 epochs" not in claim.source:
            assert {value for pair in claim.paper.values() for value in pair} <= known, claim.text


def test_claims_have_names_of_their_own() -> None:
    assert len({claim.name for claim in CLAIMS}) == len({claim.text for claim in CLAIMS}) == len(CLAIMS)


def test_runs_belong_to_a_data_set_and_a_share_of_it() -> None:
    runs = [run("none", data=data, fraction=share) for data in ("fashion_mnist", "cifar10") for share in (1.0, 0.05)]
    assert [setting.title for setting in settings(runs)] == [
        "CIFAR-10, 5 %", "CIFAR-10, 100 %", "Fashion-MNIST, 5 %", "Fashion-MNIST, 100 %",
    ]  # fmt: skip


def test_unfinished_runs_do_not_count() -> None:
    (setting,) = settings([run("none"), run("hard", status="running")])
    assert setting.cells == ["none"]
    with pytest.raises(ConfigError, match="none of 1 runs is a finished job of a grid of cells; pass a folder"):
        settings([run("hard", status="running")])


def test_one_cell_and_seed_cannot_count_twice() -> None:
    with pytest.raises(ConfigError, match=r"are both cell=\[none\] with seed=0 of digits, 100 %"):
        settings([run("none"), run("none", 51)])


def test_a_setting_knows_its_runs() -> None:
    setting = Setting("digits", 0.5, {1: {"none": run("none", seed=1)}, 0: {"none": run("none")}})
    assert [seed.runs["none"].seed for seed in setting.seeds] == [0, 1]
    assert len(setting.runs) == 2


def test_next_to_nothing_is_not_less_than_nothing() -> None:
    assert difference_text(Estimate(-0.04, 0.1, 3)) == "+0.0 ± 0.1"
    assert difference_text(Estimate(-0.06, None, 1)) == signed("-0.1")
