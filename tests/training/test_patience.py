"""A training that no longer improves ends; cut off anywhere it ends at the same epoch, to the bit."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_resume import TINY, Killed, at_call, die, state

from alike import same
from deit.config.schema import Config
from deit.training.modules import StudentModule
from deit.training.run import train

# A rate at which nothing is learnt: the first epoch stays the best, and the third is the last.
STUCK = ("optim.lr=1e-12", "optim.min_lr=0", "optim.warmup_lr=0", "optim.epochs=6", "trainer.checkpoint_steps=2")


Run = Callable[..., Path]


@pytest.fixture(scope="module")
def run(config: Callable[..., Config]) -> Run:
    def run(folder: Path, patience: int = 2) -> Path:
        train(config(*TINY, *STUCK, f"trainer.patience={patience}"), folder, [])
        return folder

    return run


@pytest.fixture(scope="module")
def whole(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was not cut off."""
    return run(tmp_path_factory.mktemp("whole"))


def stopped(folder: Path) -> dict[str, int] | None:
    return json.loads((folder / "run.json").read_text()).get("stopped")


def test_it_ends_early_and_says_so(whole: Path, run: Run, tmp_path: Path) -> None:
    trained = [int(row["epoch"]) for row in state(whole)[1] if row["train/loss"]]
    assert trained == [0, 1, 2]
    assert stopped(whole) == {"epochs": 3, "planned": 6, "patience": 2}
    assert stopped(run(tmp_path / "patient", patience=6)) is None


PLACES = {
    "in the second epoch": ("training_step", 8),
    "in the validation that ends it": ("validation_step", 20),
    "at the end of training": ("on_train_end", 1),
    "in the test": ("test_step", 3),
}


@pytest.mark.parametrize("place", PLACES)
def test_killed_it_ends_at_the_same_epoch(
    place: str, whole: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name, call = PLACES[place]
    with monkeypatch.context() as patch:
        patch.setattr(StudentModule, name, at_call(call, die)(getattr(StudentModule, name)))
        with pytest.raises(Killed):
            run(tmp_path)
    cut = run(tmp_path)
    assert same(state(cut), state(whole))
    assert stopped(cut) == stopped(whole)
