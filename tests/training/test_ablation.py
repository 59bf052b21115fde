"""Every switch of Table 8 has its effect: on the images, the targets, the network in training, or the optimiser."""

from collections.abc import Callable

import pytest
import torch

from deit.config.schema import Config
from deit.data.sources import DataSet, open_dataset
from deit.training import optimizer
from deit.training.modules import StudentModule
from deit.training.run import build_module, initial_student, keyed_data

DEFAULT = ("distill=none", "augment=deit", "data.train_fraction=0.1", "scale.depth=2", "data.workers=0")
SWITCHES = [
    ("optim=sgd", {"optimizer"}),
    ("optim=lamb", {"optimizer"}),
    ("augment.auto_augment=null", {"images"}),
    ("augment.auto_augment=original", {"images"}),
    ("augment.auto_augment=3a", {"images"}),
    ("augment.mixup=0", {"images", "targets"}),
    ("augment.cutmix=0", {"images", "targets"}),
    ("augment.erasing=0", {"images"}),
    ("augment.smoothing=0", {"targets"}),
    ("augment.repeats=1", {"images", "targets", "order"}),
    ("augment.order=official", {"images", "targets", "order"}),
    ("augment.color_jitter=0.4", {"images"}),
    ("augment.crop=simple", {"images"}),
    ("model.drop_path=0", {"network"}),
    ("model.drop_path_grows=false", {"network"}),
    ("model.dropout=0.1", {"network"}),
    ("model.eval_mode=true", {"network"}),
    ("optim.ema=0.99", {"average"}),
]


@pytest.fixture(scope="module")
def dataset(config: Callable[..., Config]) -> DataSet:
    return open_dataset(config(*DEFAULT).data)


def observed(config: Config, dataset: DataSet) -> dict[str, object]:
    """What a run of ``config`` begins with, by the part of training it belongs to."""
    data = keyed_data(config, dataset)
    raw = next(iter(data.train_dataloader()))
    order = list(zip(raw.views.tolist(), raw.indices.tolist(), strict=True))
    batch = data.on_after_batch_transfer(raw, 0)
    module = build_module(config, dataset, initial_student(config, dataset), None)
    assert isinstance(module, StudentModule)
    fixed = torch.rand(4, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    return {
        "images": hash(batch.images.numpy().tobytes()),
        "targets": batch.targets.tolist(),  # type: ignore[union-attr]
        "order": order,
        "network": module.train().student(fixed).classes.tolist(),
        "optimizer": type(optimizer.build(module, config.optim, steps_per_epoch=9)[0]).__name__,
        "average": module.average is None,
    }


@pytest.fixture(scope="module")
def default(config: Callable[..., Config], dataset: DataSet) -> dict[str, object]:
    return observed(config(*DEFAULT), dataset)


@pytest.mark.parametrize(("switch", "changed"), SWITCHES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_switch_changes_its_part_and_no_other(
    config: Callable[..., Config], dataset: DataSet, default: dict[str, object], switch: str, changed: set[str]
) -> None:
    extra = ["augment.mix_mode=batch"] if "official" in switch else []
    now = observed(config(*DEFAULT, switch, *extra), dataset)
    assert {part for part in default if now[part] != default[part]} == changed
