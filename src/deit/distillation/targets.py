"""Whom the student learns from in a step: the teacher itself, or its answers in a bank."""

import logging
from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from deit.config.errors import RunError
from deit.config.teaching import BankMode
from deit.data.batches import TrainBatch
from deit.distillation import answers
from deit.distillation.bank import Bank, CorruptAnswers
from deit.models.teachers import FrozenTeacher

log = logging.getLogger(__name__)

COMMIT_EVERY = 100  # batches whose answers a crash may lose


class Targets(Protocol):
    """The teacher's answers to a batch of views. Shapes: B batch, K classes."""

    num_asked: int
    """Views that the teacher was asked about."""
    num_replayed: int
    """Views whose answers were kept."""

    def promise(self, batch: TrainBatch) -> Callable[[], Tensor]:
        """Begin to find answers to a batch and return what waits for them.

        They are (B, K) logits; (B,) decisions where a bank keeps these alone.
        """
        ...

    def commit(self) -> None:
        """Bring to disk what is to be kept."""
        ...


class LiveTargets:
    """The teacher answers."""

    def __init__(self, teacher: FrozenTeacher) -> None:
        self.teacher = teacher
        self.num_asked = self.num_replayed = 0

    def promise(self, batch: TrainBatch) -> Callable[[], Tensor]:
        self.num_asked += len(batch.views)
        return self.teacher.promise(batch.images)

    def commit(self) -> None:
        """Nothing is kept."""


class BankTargets:
    """The bank answers what it knows, as ``mode`` has it; the teacher the rest.

    What stands in for an image that cannot be read is the teacher's to answer, whatever the mode, and is not kept: the
    bank is of the images, of which some may be mended later.
    """

    def __init__(self, bank: Bank, teacher: FrozenTeacher, mode: BankMode) -> None:
        self.bank, self.teacher, self.mode = bank, teacher, mode
        self.num_asked = self.num_replayed = 0
        self._uncommitted = 0

    def promise(self, batch: TrainBatch) -> Callable[[], Tensor]:
        images, views, indices, own = batch.images, batch.views, batch.indices, ~batch.substituted
        is_known = self.mode is not BankMode.record and self.bank.known(views[own], indices[own])
        if is_known and bool(own.all()):
            return lambda: self._replayed(batch)
        if self.mode is BankMode.replay and not is_known:
            raise RunError(
                f"the bank {self.bank.folder} has no answer to view {int(views[0])} of image {int(indices[0])} or its"
                " neighbours; pass distill.bank=auto to ask the teacher for what is missing"
            )
        promised = self.teacher.promise(images)
        self.num_asked += len(views)

        def answer() -> Tensor:
            logits = promised()
            # What is learnt from is what is kept: a run must not depend on which answers a bank already had.
            kept = self._read(views[own], indices[own]) if is_known else None
            if kept is None:
                kept = self._write(views[own], indices[own], logits[own.to(logits.device)])
            if bool(own.all()):
                return kept.to(images.device)
            whole = (answers.decisions(logits) if kept.dim() == 1 else logits.float()).clone()
            whole[own.to(whole.device)] = kept.to(whole.device)
            return whole

        return answer

    def _replayed(self, batch: TrainBatch) -> Tensor:
        """Return the bank's answers to a whole batch; the teacher's, which are stored, if those are corrupt."""
        kept = self._read(batch.views, batch.indices)
        if kept is None:
            self.num_asked += len(batch.views)
            kept = self._write(batch.views, batch.indices, self.teacher.promise(batch.images)())
        else:
            self.num_replayed += len(batch.views)
        return kept.to(batch.images.device)

    def _read(self, views: Tensor, indices: Tensor) -> Tensor | None:
        """Return the bank's answers, or None with a warning if they are corrupt and may be asked for again.

        Raises:
            CorruptAnswers: If they are corrupt and only stored answers are wanted.
        """
        try:
            return self.bank.read(views, indices)
        except CorruptAnswers as fault:
            if self.mode is BankMode.replay:
                raise
            log.warning(f"{fault.found}; they are asked for again now")
            return None

    def _write(self, views: Tensor, indices: Tensor, logits: Tensor) -> Tensor:
        """Store answers, and return them as they are stored."""
        kept = self.bank.write(views, indices, logits)
        self._uncommitted += 1
        if self._uncommitted >= COMMIT_EVERY:
            self.commit()
        return kept

    def commit(self) -> None:
        self.bank.commit()
        self._uncommitted = 0
