"""The bank: a teacher's answers on disk, addressed by (view, image), replayed to any student.

A folder a view, a raw file a field, memory-mapped; no keys are stored and nothing is unpickled. A kept answer is the
decision and, for soft distillation, the largest logits with the logarithm of the sum over all: from these any
temperature can be taken, but for how the small ones share what is left.

Shapes: B batch, K classes, k logits kept, N images of the source.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deit.config.errors import ConfigError

IDENTITY = "identity.json"
MOST_CLASSES = 2**16 - 1  # what two bytes can name, but for the 0 that says there is no answer
LEAST = 1e-7  # probability, the order of what float32 rounds away


class Bank:
    """Answers to the views of N images; made if there is none in ``folder`` yet.

    Answers become known when they are committed: the decision, which also says that there is an answer, is written
    after the rest is on disk.

    Args:
        folder: Where the bank lies.
        identity: What its answers depend on, as plain data.
        num_images: N.
        num_classes: K, at most 65,535.
        top: k; 0 for decisions alone.

    Raises:
        ConfigError: if the folder holds answers of another identity, naming what differs.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, object], *, num_images: int, num_classes: int, top: int
    ) -> None:
        assert num_classes <= MOST_CLASSES, f"{num_classes} classes"
        self.folder, self.num_images, self.num_classes = folder, num_images, num_classes
        self.top = min(top, num_classes)
        self._maps: dict[tuple[int, str], np.memmap] = {}
        self._pending: list[tuple[int, np.ndarray, np.ndarray]] = []
        _claim(folder, identity)

    def known(self, views: Tensor, indices: Tensor) -> bool:
        """Whether there is an answer to every one of (B,) views of (B,) images."""
        return all(
            self._exists(view) and bool(self._field(view, "decision")[where].all())
            for view, _, where in _by_view(views, indices)
        )

    def num_known(self, view: int) -> int:
        """How many images' view of this number has an answer."""
        return len(self.images_known(view))

    def images_known(self, view: int) -> np.ndarray:
        """Images whose view of this number has an answer."""
        return np.flatnonzero(self._field(view, "decision")) if self._exists(view) else np.empty(0, np.int64)

    def labels_named(self, view: int, labels: np.ndarray) -> float:
        """Share of a view's answers that decide for the image's own of (N,) labels."""
        images = self.images_known(view)
        return float((self._field(view, "decision")[images] == labels[images] + 1).mean())

    def share_kept(self, view: int) -> float:
        """Mean probability of the classes whose logits are kept, over a view's answers."""
        images = self.images_known(view)
        kept = self._field(view, "logit")[images].astype(np.float32)
        total = self._field(view, "total")[images].astype(np.float32)
        return float(np.exp(kept - total[:, None]).sum(axis=-1).mean())

    def read(self, views: Tensor, indices: Tensor) -> Tensor:
        """(B, K) float32 logits whose softmax at temperature 1 has the kept probabilities; known answers only.

        What the kept logits leave is shared evenly by the other classes. Without kept logits: 1 for the decision, 0
        for all others.
        """
        answers = torch.zeros(len(views), self.num_classes)
        for view, rows, where in _by_view(views, indices):
            if not self.top:
                decisions = torch.from_numpy(self._field(view, "decision")[where].astype(np.int64) - 1)
                answers[rows] = torch.nn.functional.one_hot(decisions, self.num_classes).float()
                continue
            kept = torch.from_numpy(self._field(view, "logit")[where].astype(np.float32))
            total = torch.from_numpy(self._field(view, "total")[where].astype(np.float32))[:, None]
            # Rounding may leave the other classes less than nothing.
            left = (1 - (kept - total).exp().sum(dim=-1, keepdim=True)).clamp(min=LEAST)
            others = (left / max(1, self.num_classes - self.top)).log() + total
            classes = torch.from_numpy(self._field(view, "class")[where].astype(np.int64))
            answers[rows] = others.expand(-1, self.num_classes).scatter(1, classes, kept)
        return answers

    def write(self, views: Tensor, indices: Tensor, logits: Tensor) -> None:
        """Keep (B, K) answers; they are known after the next `commit`."""
        logits = logits.detach().float().cpu()
        best = logits.topk(max(self.top, 1), dim=-1)
        relative = best.values - best.values[:, :1]
        total = logits.logsumexp(dim=-1) - best.values[:, 0]
        for view, rows, where in _by_view(views, indices):
            if self.top:
                self._field(view, "class")[where] = best.indices[rows].numpy().astype(np.uint16)
                self._field(view, "logit")[where] = relative[rows].numpy().astype(np.float16)
                self._field(view, "total")[where] = total[rows].numpy().astype(np.float16)
            self._pending.append((view, where, best.indices[rows, 0].numpy().astype(np.uint16) + 1))

    def commit(self) -> None:
        """Bring what was written to disk, then the decisions, which make it known."""
        touched = {view for view, _, _ in self._pending}
        for (view, name), values in self._maps.items():
            if view in touched and name != "decision":
                values.flush()
        for view, where, decisions in self._pending:
            self._field(view, "decision")[where] = decisions
        self._pending.clear()
        for view in touched:
            self._field(view, "decision").flush()

    def _exists(self, view: int) -> bool:
        return (view, "decision") in self._maps or (self._folder(view) / "decision.u16").is_file()

    def _folder(self, view: int) -> Path:
        return self.folder / f"view_{view:05d}"

    def _field(self, view: int, name: str) -> np.memmap:
        if (view, name) not in self._maps:
            kinds = {
                "decision": ("u16", np.uint16, (self.num_images,)),  # the class + 1; 0 where there is no answer
                "class": ("u16", np.uint16, (self.num_images, self.top)),
                "logit": ("f16", np.float16, (self.num_images, self.top)),
                "total": ("f16", np.float16, (self.num_images,)),
            }
            suffix, kind, shape = kinds[name]
            path = self._folder(view) / f"{name}.{suffix}"
            path.parent.mkdir(exist_ok=True)
            with path.open("ab") as file:  # several recorders may come to this at once; none empties it
                file.truncate(int(np.prod(shape)) * np.dtype(kind).itemsize)
            self._maps[view, name] = np.memmap(path, kind, "r+", shape=shape)
        return self._maps[view, name]


def _by_view(views: Tensor, indices: Tensor) -> Iterator[tuple[int, Tensor, np.ndarray]]:
    """Each view number of a batch, the rows that have it, and their images."""
    for view in views.unique().tolist():
        rows = torch.nonzero(views == view)[:, 0]
        yield view, rows, indices[rows].numpy()


def _claim(folder: Path, identity: Mapping[str, object]) -> None:
    """Write what the bank is of, or compare it with what stands there."""
    path = folder / IDENTITY
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{IDENTITY}.{os.getpid()}")
        draft.write_text(json.dumps(identity, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        draft.replace(path)
        return
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(kept, dict)
    except (ValueError, AssertionError):
        raise ConfigError(f"{path} is no identity of a bank; pass another distill.bank_path=<folder>") from None
    asked = json.loads(json.dumps(identity))
    names = sorted(name for name in kept.keys() | asked.keys() if kept.get(name) != asked.get(name))
    if names:
        told = "; ".join(f"{name} is {asked.get(name)!s:.80}, the bank has {kept.get(name)!s:.80}" for name in names)
        raise ConfigError(
            f"the bank {folder} is not of this run: {told}; leave distill.bank_path out, or pass distill.bank=off"
        )
