"""A loss that is no number stops the run in words, before a checkpoint is overwritten."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from test_modules import SMALL, data_of

from deit.config.errors import RunError
from deit.config.schema import Config
from deit.data.sources import open_dataset
from deit.training.finite import FiniteLoss
from deit.training.run import build_module, initial_student


def test_the_message_names_the_step_the_checkpoint_and_what_to_try(
    config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(*SMALL, "distill=none", "trainer.precision=bf16-mixed")
    dataset = open_dataset(settings.data)
    module = build_module(settings, dataset, initial_student(settings, dataset), None)
    data = data_of(settings, dataset)
    steps = data.num_train_batches
    real = module.training_step

    def poisoned(batch: object, batch_idx: int) -> torch.Tensor:
        bad = module.current_epoch == 1 and batch_idx == 2
        return real(batch, batch_idx) * (float("nan") if bad else 1.0)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "training_step", poisoned)
    (tmp_path / "last.ckpt").touch()
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, callbacks=[FiniteLoss(settings, tmp_path)],
    )  # fmt: skip
    with pytest.raises(RunError) as stopped:
        trainer.fit(module, data)
    said = str(stopped.value)
    assert f"not finite at step {steps + 2} (epoch 1, batch 2 of {steps}, all from 0)" in said
    assert f"the last good checkpoint is {tmp_path / 'last.ckpt'}" in said
    for cure in ("model.float32_attention=true", "trainer.precision=32-true", "trainer.clip_grad=1.0", "optim.lr="):
        assert cure in said
    assert trainer.global_step <= steps + 3, "a single CPU looks after every batch"
