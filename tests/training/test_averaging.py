"""The moving average of the weights: what it holds, when it is chosen, that it comes back."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_modules import SMALL, data_of, fitted

from deit.config.schema import Config
from deit.data.batches import EvalBatch
from deit.data.sources import DataSet, open_dataset
from deit.training.averaging import averaged
from deit.training.modules import StudentModule
from deit.training.run import build_module, initial_student, make_student

EMA = (*SMALL, "distill=none", "optim.ema=0.9")


@pytest.fixture(scope="module")
def dataset(config: Callable[..., Config]) -> DataSet:
    return open_dataset(config(*SMALL).data)


def test_each_step_moves_it_by_one_minus_the_decay(config: Callable[..., Config]) -> None:
    student = make_student(config(*SMALL), num_classes=10)
    average = averaged(student, 0.9)
    start = student.net.head.weight.detach().clone()  # type: ignore[union-attr]
    expected = start.clone()
    for step in range(1, 4):
        with torch.no_grad():
            student.net.head.weight.copy_(start + step)  # type: ignore[union-attr]
        average.update_parameters(student)
        expected = 0.9 * expected + 0.1 * (start + step)
        assert torch.allclose(average.module.net.head.weight, expected, atol=1e-6)
    assert not any(parameter.requires_grad for parameter in average.parameters())


def test_it_follows_a_training_is_measured_and_saved(
    config: Callable[..., Config], dataset: DataSet, tmp_path: Path
) -> None:
    trainer = fitted(config(*EMA), dataset, tmp_path, None)
    module = trainer.lightning_module
    assert {"val/acc1", "val/acc1_ema"} <= set(trainer.callback_metrics)
    state = module.state_dict()
    raw, kept = state["student.net.head.weight"], state["average.module.net.head.weight"]
    assert not torch.equal(raw, kept)
    assert not any("average" in name for name, p in module.named_parameters() if p.requires_grad)


def test_the_switch_decides_whose_accuracy_counts(config: Callable[..., Config], dataset: DataSet) -> None:
    batch = None
    for chosen in (False, True):
        settings = config(*EMA, f"optim.ema_chosen={chosen}")
        module = build_module(settings, dataset, initial_student(settings, dataset), None).eval()
        assert isinstance(module, StudentModule)
        assert module.average is not None
        data = data_of(config(*SMALL), dataset)
        batch = batch or data.on_after_batch_transfer(next(iter(data.val_dataloader())), 0)
        assert isinstance(batch, EvalBatch)
        always = torch.full((10,), -1.0)
        always[3] = 1.0  # the average answers 3 whatever it sees
        with torch.no_grad():
            module.average.module.net.head.weight.zero_()
            module.average.module.net.head.bias.copy_(always)
            values = module.evaluate(batch, "val")
        threes = ((batch.labels == 3) * 100.0).tolist()
        assert values["acc1" if chosen else "acc1_ema"].tolist() == threes
        assert ("acc1_raw" in values) is chosen
