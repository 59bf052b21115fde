"""Batch and warm-up for few images or few epochs: what gives way, what stays, and that it is said why."""

from collections.abc import Callable

import pytest

from deit.config.adapt import adapted
from deit.config.schema import Config


def test_imagenet_keeps_the_paper(config: Callable[..., Config]) -> None:
    paper = config("scale=paper", "data=imagenet")
    assert adapted(paper, 1_281_167) == (paper, [])
    assert adapted(paper, 16 * 1024) == (paper, []), "16 steps an epoch are enough for the batch"


def test_the_digits_keep_nano_scale(config: Callable[..., Config]) -> None:
    assert adapted(config(), 1258)[1] == []


@pytest.mark.parametrize(
    ("images", "batch", "warmup"),
    [
        (10_000, 624, 5),  # 10,000 / 16 = 625, which makes no pairs; 17 steps an epoch: 5 epochs are 85
        (2_040, 126, 5),  # Flowers-102
        (300, 64, 10),  # the least; 5 steps an epoch: 10 epochs make 50
        (7, 64, 50),
    ],
)
def test_few_images_at_paper_scale(config: Callable[..., Config], images: int, batch: int, warmup: int) -> None:
    paper = config("scale=paper", "data=cifar10")
    now, reasons = adapted(paper, images)
    assert (now.optim.batch_size, now.optim.warmup_epochs) == (batch, warmup)
    assert now.optim.peak_lr == pytest.approx(5e-4 * batch / 512), "the rate follows the batch"
    assert f"batch 1024 -> {batch}" in reasons[0]
    assert f"{images} training images" in reasons[0]
    assert len(reasons) == 1 + (warmup != 5)
    assert all("optim.adapt=false" in reason for reason in reasons)


def test_a_batch_divides_over_devices_and_accumulated_batches(config: Callable[..., Config]) -> None:
    spread = config("scale=paper", "data=cifar10", "trainer=ddp", "trainer.devices=3", "trainer.accumulate=4")
    now, _ = adapted(spread, 2_040)
    assert now.optim.batch_size == 120
    assert now.optim.batch_size % (2 * 3 * 4) == 0


def test_a_short_training_has_a_short_warm_up(config: Callable[..., Config]) -> None:
    now, (reason,) = adapted(config("optim.epochs=3"))
    assert now.optim.warmup_epochs == 0
    assert "warm-up 5 -> 0 epochs" in reason
    assert adapted(config("optim.epochs=10"))[0].optim.warmup_epochs == 2


def test_what_the_user_set_stays(config: Callable[..., Config]) -> None:
    chosen = config("scale=paper", "data=cifar10", "optim.batch_size=512", "optim.warmup_epochs=3")
    assert adapted(chosen, 100) == (chosen, [])
    letter = config("scale=paper", "data=cifar10", "optim.adapt=false")
    assert adapted(letter, 100) == (letter, [])


def test_a_few_images_of_ones_own_are_trained_on_for_longer(config: Callable[..., Config]) -> None:
    now, reasons = adapted(config("own=scratch"), 100)  # 7 steps an epoch: 45 epochs are 315, 7 times as many 2,205
    assert (now.optim.epochs, now.trainer.patience) == (315, 105)
    assert now.teacher.fit.epochs == 108  # 4 steps an epoch: 12 epochs are 48, 9 times as many 432
    assert "epochs 45 -> 315, of 7 steps: 100 training images are few" in reasons[0]
    assert "epochs of the teacher 12 -> 108" in reasons[1]
    assert adapted(config("own=scratch"), 10_000)[0].optim.epochs == 45
    assert adapted(config(), 100)[0].optim.epochs == 45, "of other data a share is compared over equal epochs"
    mine = adapted(config("own=scratch", "optim.epochs=40", "trainer.patience=9", "teacher.fit.epochs=3"), 100)[0]
    assert (mine.optim.epochs, mine.trainer.patience, mine.teacher.fit.epochs) == (40, 9, 3)
