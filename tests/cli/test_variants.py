"""Other students, teachers and ways to train, as a user asks for them: small runs through the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_runs import TINY

from conftest import Outcome

ALONE = (*TINY, "distill=none")


def metrics(folder: Path) -> dict[str, float]:
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "done"
    return record["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("model=deit3_s", "distill=hard"),
        ("model=cait_xxs24", "distill=soft"),
        ("model=timm", "model.net=resnet18", "distill=hard", "trainer.channels_last=true"),
        ("model=deit3_s", "distill=none", "optim=lamb", "augment=deit3", "optim.loss=binary"),
        ("distill=none", "trainer.precision=bf16-mixed", "model.float32_attention=true", "trainer.clip_grad=1"),
        ("distill=none", "model.checkpoint_blocks=true", "trainer.accumulate=2", "optim.schedule=official"),
        ("distill=none", "augment=deit", "augment.order=official", "augment.mix_mode=batch", "model.eval_mode=true"),
    ],
    ids=" ".join,
)
def test_it_trains(deit_train: Callable[..., Outcome], tmp_path: Path, arguments: tuple[str, ...]) -> None:
    outcome = deit_train(*TINY, *arguments, "hydra.run.dir=out")
    assert outcome.status == 0, outcome.said
    measured = metrics(tmp_path / "out")
    assert 0 <= measured["test/acc1"] <= 100
    if any("cait" in argument or "timm" in argument for argument in arguments):
        assert "test/acc1_distill" not in measured
        assert "has no distillation token: its class head learns from labels and teacher" in outcome.said


@pytest.mark.slow
def test_an_ensemble_is_fitted_member_by_member(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    members = "teacher.members=[regnety_160.deit_in1k,resnet50.tv_in1k]"
    outcome = deit_train(*TINY, "teacher=ensemble", members, "hydra.run.dir=out")
    assert outcome.status == 0, outcome.said
    assert outcome.said.count("fitting teacher") == 2
    assert "teacher regnety_160 (nano, fitted on digits) + resnet50 (nano, fitted on digits):" in outcome.said
    assert metrics(tmp_path / "out")["teacher/acc1"] > 0
    again = deit_train(*TINY, "teacher=resnet50", "teacher.nano_width=0.05", "hydra.run.dir=one")
    assert again.status == 0, again.said
    assert "fitting teacher" not in again.said, "a member is a teacher like any other"


@pytest.mark.slow
def test_the_average_is_measured_chosen_and_started_from(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train(*ALONE, "optim.ema=0.9", "optim.ema_chosen=true", "hydra.run.dir=out")
    assert outcome.status == 0, outcome.said
    assert {"test/acc1", "test/acc1_raw"} <= metrics(tmp_path / "out").keys()
    best = tmp_path / "out/checkpoints/best.ckpt"
    assert any(name.startswith("average.") for name in torch.load(best, weights_only=True)["state_dict"])
    tuned = deit_train(*ALONE, f"init={best}", "init_ema=true", "hydra.run.dir=tuned")
    assert tuned.status == 0, tuned.said
    assert "tensors loaded" in tuned.said
    refused = deit_train(*ALONE, f"init={tmp_path}/tuned/checkpoints/best.ckpt", "init_ema=true", "hydra.run.dir=no")
    assert refused.status == 2
    assert "holds no averaged weights" in refused.said


def test_a_loss_that_is_not_finite_stops_the_run_in_words(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train(*ALONE, "optim=sgd", "optim.lr=1e9", "optim.scale_lr=false", "hydra.run.dir=out")
    assert outcome.status == 1
    assert "the loss is not finite at step " in outcome.said
    assert "trainer.clip_grad=1.0" in outcome.said
    assert "Traceback" not in outcome.said
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["status"] == "failed"
    assert "not finite" in record["error"]


def test_few_images_change_batch_rate_and_warm_up_and_say_why(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    few = ("scale.batch_size=256", "data.train_fraction=0.3", "optim.epochs=6", "distill=none", "scale.depth=1")
    outcome = deit_train(*few, "hydra.run.dir=out")
    assert outcome.status == 0, outcome.said
    assert "batch 256 -> 64, peak learning rate 0.016 -> 0.004: 387 training images" in outcome.said
    assert "warm-up 5 -> 1 epochs of 7 steps: a fifth of the training at most" in outcome.said


@pytest.mark.slow
def test_compiled_networks_train_alike(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = deit_train(*TINY, "trainer.compile=true", "hydra.run.dir=out", timeout=500)
    assert outcome.status == 0, outcome.said
    plain = deit_train(*TINY, "hydra.run.dir=plain")
    assert plain.status == 0, plain.said
    saved = [torch.load(tmp_path / f"{name}/checkpoints/last.ckpt", weights_only=True) for name in ("out", "plain")]
    compiled, eager = (state["state_dict"] for state in saved)
    assert compiled.keys() == eager.keys()
    assert all(torch.allclose(compiled[name], eager[name], atol=5e-2) for name in eager)


@pytest.mark.slow
def test_fine_tuning_at_a_higher_resolution_beats_the_resampled_student(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    """From 224 to 384 pixels of the paper at nano scale: 7 x 7 to 12 x 12 patches."""
    learnt = ("distill=none",)
    assert deit_train(*learnt, "hydra.run.dir=small", timeout=600).status == 0
    start = (*learnt, "resolution=384", "init=small/checkpoints/best.ckpt", "optim.warmup_epochs=0")
    as_it_is = ("optim.epochs=1", "optim.lr=1e-9", "optim.min_lr=0", "optim.warmup_lr=0")
    tuned = ("optim.epochs=8", "optim.lr=8e-3")
    for name, rate in (("untouched", as_it_is), ("tuned", tuned)):
        outcome = deit_train(*start, *rate, f"hydra.run.dir={name}", timeout=600)
        assert outcome.status == 0, outcome.said
        assert "resampled: pos_embed" in outcome.said
    saved = [
        torch.load(tmp_path / name / "checkpoints/best.ckpt", weights_only=True) for name in ("small", "untouched")
    ]
    before, after = (state["state_dict"]["student.net.pos_embed"][:, 1:].norm(dim=-1).mean() for state in saved)
    assert abs(after / before - 1) < 0.02, "the paper's reason for bicubic resampling (section 3)"
    accuracy = {name: metrics(tmp_path / name)["test/acc1"] for name in ("untouched", "tuned")}
    assert accuracy["tuned"] > accuracy["untouched"]


STUDENTS = ["deit_ti", "deit_s", "deit_b", "deit3_s", "deit3_m", "deit3_b", "deit3_l", "cait_xxs24", "cait_s24"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("model", STUDENTS)
def test_each_student_takes_a_step_at_paper_scale(config: Callable[..., object], model: str, precision: str) -> None:
    """In float32, and with one or two blocks in bfloat16, of which all would take minutes; float16 needs a GPU."""
    from deit.data.batches import TrainBatch
    from deit.training import optimizer
    from deit.training.run import make_student

    less = ("scale.depth=1",) if precision == "bf16-mixed" else ()
    settings = config("scale=paper", "data=imagenet", f"model={model}", f"trainer.precision={precision}", *less)
    torch.manual_seed(0)
    student = make_student(settings, num_classes=1000).train()
    chosen, _ = optimizer.build(student, settings.optim, steps_per_epoch=1)
    images, targets, keys = torch.rand(2, 3, 224, 224), torch.rand(2, 1000).softmax(-1), torch.zeros(2)
    batch = TrainBatch(images, targets, keys, keys, keys > 0)
    before = [p.detach().clone() for p in student.parameters()][:4]
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
        answer = student(batch.images)
    loss = sum(
        -(batch.targets * logits.float().log_softmax(-1)).sum(-1).mean() for logits in answer if logits is not None
    )
    loss.backward()
    chosen.step()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in student.parameters())
    assert any(not torch.equal(was, p) for was, p in zip(before, student.parameters(), strict=False))
