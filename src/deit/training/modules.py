"""The three LightningModules: a student, a teacher, a student distilled from a teacher. They choose and log.

Losses and metrics are pure functions in `distillation.losses` and `evaluation`. Shapes: B batch, K classes.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from deit.config.execution import Optim
from deit.config.teaching import Distill, Fusion
from deit.data.batches import EvalBatch, TrainBatch
from deit.data.keys import depth_numbers
from deit.distillation import losses
from deit.distillation.targets import LiveTargets, Targets
from deit.evaluation import heads, metrics
from deit.evaluation.predictions import Predictions
from deit.models import stochastic_depth
from deit.models.students import Heads, Student
from deit.models.teachers import FrozenTeacher, TeacherNetwork
from deit.training.averaging import averaged
from deit.training.classifier import Classifier
from deit.training.decisions import TeacherDecisions
from deit.training.stopwatch import Stopwatch


class TeacherModule(Classifier):
    """Trains a teacher on labels."""

    def __init__(self, network: TeacherNetwork, optim: Optim, *, seed: int) -> None:
        super().__init__(optim, seed=seed, train_names=("loss",), eval_names=("acc1",))
        self.network = network

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Tensor:
        loss = losses.soft_target_cross_entropy(self.network(batch.images), batch.targets)
        self.record(batch, {"loss": loss})
        return loss

    def evaluate(self, batch: EvalBatch, stage: str) -> dict[str, Tensor]:
        return {"acc1": metrics.correct(self.network(batch.images), batch.labels)}


class StudentModule(Classifier):
    """Trains a student on labels alone; a student with two heads learns the labels with both.

    Args:
        student: The network.
        fusion: Which fusion of two heads is the accuracy to compare by.
        teacher: Whom its decisions are compared with; None for nobody.
    """

    def __init__(
        self,
        student: Student,
        optim: Optim,
        *,
        seed: int,
        fusion: Fusion = Fusion.softmax,
        teacher: FrozenTeacher | None = None,
        train_names: tuple[str, ...] = ("loss",),
    ) -> None:
        reported = tuple(f"acc1_{name}".rstrip("_") for name in heads.head_names(student.two_heads))
        compared = () if teacher is None else ("agreement", "teacher_acc1")
        self.other_weights = None if optim.ema is None else "acc1_raw" if optim.ema_chosen else "acc1_ema"
        other = () if self.other_weights is None else (self.other_weights,)
        names = (*reported, "acc5", "loss", *compared, *other)
        super().__init__(optim, seed=seed, train_names=train_names, eval_names=names)
        self.student, self.teacher, self.fusion = student, teacher, fusion
        self._paths = stochastic_depth.keyed_drop_paths(student)
        self.average = None if optim.ema is None else averaged(student, optim.ema)
        self.decisions = None if teacher is None else TeacherDecisions(teacher)
        deciding = heads.head_names(student.two_heads)[1:]
        self.predictions = Predictions(("label", *deciding, *(() if teacher is None else ("teacher",))))

    @property
    def chosen(self) -> Student:
        """The student that is measured: of the averaged weights where these are the run's."""
        return cast(Student, self.average.module) if self.average and self.optim.ema_chosen else self.student

    def on_fit_start(self) -> None:
        if self.teacher is not None:
            self.teacher.to(self.device)  # Lightning moves what it knows, and the teacher is none of its modules

    def on_train_batch_start(self, batch: TrainBatch, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        if not self._paths or not self.student.training:
            return
        masks = stochastic_depth.num_masks(self._paths)
        numbers = depth_numbers(self.seed, self.current_epoch, batch.views, batch.indices, masks)
        stochastic_depth.set_numbers(self._paths, numbers.to(self.device, non_blocking=True))

    def on_train_batch_end(self, outputs: object, batch: TrainBatch, batch_idx: int) -> None:
        stochastic_depth.set_numbers(self._paths, None)
        super().on_train_batch_end(outputs, batch, batch_idx)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.average is not None:
            self.average.update_parameters(self.student)

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Tensor:
        answer: Heads = self.student(batch.images)
        loss = losses.label_loss(answer.classes, batch.targets, self.optim.loss)
        if answer.distill is not None:
            loss = losses.combine(loss, losses.label_loss(answer.distill, batch.targets, self.optim.loss), 0.5)
        self.record(batch, {"loss": loss})
        return loss

    def on_test_epoch_start(self) -> None:
        self.predictions.clear()

    def gathered_predictions(self, num_images: int) -> dict[str, NDArray[np.integer]]:
        """What all devices have decided in the test, as `Predictions.gather` has it; every device must call it."""
        reduce = self.trainer.strategy.reduce
        return self.predictions.gather(
            num_images, self.device, lambda table: cast(Tensor, reduce(table, reduce_op="max"))
        )

    def evaluate(self, batch: EvalBatch, stage: str) -> dict[str, Tensor]:
        chosen = self.chosen
        other = self.average if chosen is self.student else self.student
        answer: Heads = chosen(batch.images)
        scores = heads.by_head(*answer, fusion=self.fusion)
        values = {f"acc1_{name}".rstrip("_"): metrics.correct(s, batch.labels) for name, s in scores.items()}
        values["acc5"] = metrics.correct(scores[""], batch.labels, k=5)
        values["loss"] = torch.nn.functional.cross_entropy(answer.classes.float(), batch.labels, reduction="none")
        if other is not None and self.other_weights is not None:
            fused = heads.by_head(*other(batch.images), fusion=self.fusion)[""]
            values[self.other_weights] = metrics.correct(fused, batch.labels)
        classes = {"label": batch.labels} | {name: s.argmax(dim=-1) for name, s in scores.items() if name}
        if self.decisions is not None:
            classes["teacher"] = decisions = self.decisions.of(batch, stage)
            values["agreement"] = metrics.agreement(scores[""], decisions)
            values["teacher_acc1"] = metrics.correct_decisions(decisions, batch.labels)
        if stage == "test":
            self.predictions.update(batch.indices, classes)
        return values


class DistillationModule(StudentModule):
    """Trains a student on labels and on a teacher's answers to the same mixed images.

    With a distillation token its head learns from the teacher and the class head from the labels;
    without, the class head learns from both (DeiT equations 2 and 3, Table 3).

    Args:
        targets: Where the teacher's answers come from; None: from the teacher.
    """

    def __init__(
        self,
        student: Student,
        teacher: FrozenTeacher,
        optim: Optim,
        distill: Distill,
        *,
        seed: int,
        targets: Targets | None = None,
    ) -> None:
        names = ("loss", "loss_label", "loss_teacher", "agreement")
        super().__init__(student, optim, seed=seed, fusion=distill.fusion, teacher=teacher, train_names=names)
        self.distill = distill
        self.targets = targets or LiveTargets(teacher)
        self.teacher_time = Stopwatch()

    def training_step(self, batch: TrainBatch, batch_idx: int) -> Tensor:
        with self.teacher_time.measure(self.device):
            promised = self.targets.promise(batch)
        answer: Heads = self.student(batch.images)
        learner = answer.classes if answer.distill is None else answer.distill
        with self.teacher_time.measure(self.device):
            teacher_answer = promised()
        label_loss = losses.label_loss(answer.classes, batch.targets, self.optim.loss)
        teacher_loss = losses.distillation(
            learner, teacher_answer, method=self.distill.method, tau=self.distill.tau, reduction=self.distill.kl
        )
        loss = losses.combine(label_loss, teacher_loss, self.distill.alpha)
        agreement = metrics.agreement(learner, teacher_answer)
        self.record(
            batch, {"loss": loss, "loss_label": label_loss, "loss_teacher": teacher_loss, "agreement": agreement}
        )
        return loss

    def on_train_epoch_end(self) -> None:
        self.targets.commit()
        super().on_train_epoch_end()

    def progress(self) -> dict[str, Any]:
        views = (self.targets.num_asked, self.targets.num_replayed)
        return super().progress() | {"teacher": (*views, self.teacher_time.total())}

    def take_up(self, progress: Mapping[str, Any]) -> None:
        super().take_up(progress)
        self.targets.num_asked, self.targets.num_replayed, earlier = progress["teacher"]
        self.teacher_time.add(earlier)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.targets.commit()  # what the student has learnt from stays known
        super().on_save_checkpoint(checkpoint)

    def teacher_views(self) -> dict[str, int]:
        """Views, over all devices, that the teacher was asked about, and that a bank had; every device must call it."""
        counts = torch.tensor([self.targets.num_asked, self.targets.num_replayed], device=self.device)
        asked, replayed = cast(Tensor, self.trainer.strategy.reduce(counts, reduce_op="sum")).tolist()
        return {"asked": asked, "replayed": replayed}
