"""The bank: a teacher's answers on disk, addressed by (view, image), replayed to any student.

A folder a view, a raw file a field; no keys are stored and nothing is unpickled. Files are read through memory maps
and written a row at a time: rows of others that share a page stay as they are, and a full disk is an error.

Shapes: B batch, K classes, N images of the source.
"""

import errno
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from torch import Tensor

from deit.config.errors import ConfigError, RunError, written
from deit.data.containment import refuse_links_out
from deit.distillation import answers

IDENTITY = "identity.json"
KEPT = "the answers committed before are kept"
DECISION = np.dtype(np.uint16)  # the class + 1; 0 where there is no answer
MOST_CLASSES = 2**16 - 1  # what two bytes can name, but for that 0
MOST_MAPS = 64  # each holds a file open, of which a process may have 1,024, and a run goes through views in order


class Bank:
    """Answers to the views of N images; made if there is none in ``folder`` yet.

    Answers become known when they are committed: the decision, which also says that there is an answer, is written
    after the rest is on disk.

    Args:
        folder: Where the bank lies.
        identity: What its answers depend on, as plain data.
        num_images: N.
        num_classes: K, at most 65,535.
        top: Logits kept of an answer; 0 for decisions alone, K or more for all of them.

    Raises:
        ConfigError: if the folder holds answers of another identity, naming what differs.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, object], *, num_images: int, num_classes: int, top: int
    ) -> None:
        assert num_classes <= MOST_CLASSES, f"{num_classes} classes"
        self.folder, self.num_images, self.num_classes = folder, num_images, num_classes
        self.kept = answers.kept(top, num_classes)
        self._maps: dict[tuple[int, str], np.ndarray] = {}
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
        fields = {name: self._field(view, name) for name in self.kept.fields}
        return self.kept.share(fields, self.images_known(view))

    def read(self, views: Tensor, indices: Tensor) -> Tensor:
        """Known answers to (B,) views of (B,) images: (B, K) float32 logits, or (B,) int64 decisions if alone kept."""
        fields = {"decision": DECISION, **self.kept.fields}
        rows = {name: np.empty(len(views), kind) for name, kind in fields.items()}
        for view, chosen, where in _by_view(views, indices):
            for name, values in rows.items():
                values[chosen] = self._field(view, name)[where]
        decisions = rows.pop("decision")
        assert decisions.all(), f"{self.folder} is asked for answers that it does not have"
        named = [decisions - 1, *([rows["class"]] if "class" in rows else [])]
        if any(classes.max(initial=0) >= self.num_classes for classes in named):
            raise RunError(
                f"{self.folder} is damaged: among the answers to views {np.unique(views.numpy()).tolist()} are classes"
                f" beyond the {self.num_classes} there are; copy it again, or delete these views, which are then asked"
                " for again"
            )
        return self.kept.decode(decisions.astype(np.int64) - 1, rows)

    def write(self, views: Tensor, indices: Tensor, logits: Tensor) -> Tensor:
        """Keep (B, K) answers; they are known after the next `commit`. Returns them as `read` will.

        Raises:
            RunError: if the disk does not take them.
        """
        logits = logits.detach().float().cpu()
        fields = self.kept.fields
        encoded = {name: values.astype(fields[name].base) for name, values in self.kept.encode(logits).items()}
        decisions = logits.argmax(dim=-1).numpy() + 1
        for view, chosen, where in _by_view(views, indices):
            for name, values in encoded.items():
                self._store(view, name, where, values[chosen])
            self._pending.append((view, where, decisions[chosen]))
        return self.kept.decode(decisions - 1, encoded)

    def commit(self) -> None:
        """Bring what was written to disk, then the decisions, which make it known.

        Raises:
            RunError: if the disk does not take them.
        """
        touched = {view for view, _, _ in self._pending}
        for view in touched:
            for name in self.kept.fields:
                self._sync(view, name)
        for view, where, decisions in self._pending:
            self._store(view, "decision", where, decisions)
        self._pending.clear()
        for view in touched:
            self._sync(view, "decision")

    def _path(self, view: int, name: str) -> tuple[Path, np.dtype]:
        """The file of a field, and the type of a row of it."""
        kind = DECISION if name == "decision" else self.kept.fields[name]
        return self.folder / f"view_{view:05d}" / f"{name}.{kind.base.kind}{8 * kind.base.itemsize}", kind

    def _exists(self, view: int) -> bool:
        """Whether anything of this view was committed; a file that is just being made is empty."""
        if (view, "decision") in self._maps:
            return True
        path, _ = self._path(view, "decision")
        return path.is_file() and path.stat().st_size > 0

    def _field(self, view: int, name: str) -> np.ndarray:
        """Every image's row of a field, as the file has it at any time."""
        if (view, name) not in self._maps:
            if len(self._maps) >= MOST_MAPS:
                self._maps.pop(next(iter(self._maps)))
            path, kind = self._path(view, name)
            refuse_links_out(self.folder, path)
            found, whole = path.stat().st_size if path.is_file() else 0, kind.itemsize * self.num_images
            if found != whole:
                raise RunError(
                    f"{path} has {found:,} bytes, not {whole:,}: it was not copied whole; copy it again, or delete"
                    f" {path.parent}, whose answers are then asked for again"
                )
            mapped = np.memmap(path, kind.base, "r", shape=(self.num_images, *kind.shape))
            self._maps[view, name] = mapped.view(np.ndarray)  # of which rows are picked at half the cost
        return self._maps[view, name]

    def _store(self, view: int, name: str, where: np.ndarray, values: np.ndarray) -> None:
        """Write rows of a field. Others may make and fill the same file meanwhile, and no one empties it."""
        path, kind = self._path(view, name)
        with written(path, KEPT):
            refuse_links_out(self.folder, path)
            path.parent.mkdir(exist_ok=True)
            path.touch()
            with path.open("r+b", buffering=0) as file:
                if not path.stat().st_size:
                    file.truncate(kind.itemsize * self.num_images)
                for image, row in zip(where.tolist(), values.astype(kind.base), strict=True):
                    if os.pwrite(file.fileno(), row.tobytes(), image * kind.itemsize) < kind.itemsize:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # what cuts a row of a file short

    def _sync(self, view: int, name: str) -> None:
        path, _ = self._path(view, name)
        with written(path, KEPT), path.open("r+b") as file:
            os.fsync(file.fileno())


def _by_view(views: Tensor, indices: Tensor) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each view number of a batch, the rows that have it, and their images."""
    numbers, images = views.numpy(), indices.numpy()
    for view in np.unique(numbers).tolist():
        rows = np.flatnonzero(numbers == view)
        yield view, rows, images[rows]


def _claim(folder: Path, identity: Mapping[str, object]) -> None:
    """Write what the bank is of, or compare it with what stands there."""
    path = folder / IDENTITY
    if not path.is_file():
        draft = path.with_name(f".{IDENTITY}.{uuid.uuid4().hex}")
        with written(path, "nothing was kept yet"):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                draft.write_text(json.dumps(identity, indent=2, sort_keys=True) + "\n", encoding="utf-8")
                with suppress(FileExistsError):  # of several that come at once, the first one's word stands for all
                    path.hardlink_to(draft)
            finally:
                draft.unlink(missing_ok=True)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(kept, dict)
    except (ValueError, RecursionError, AssertionError):
        raise ConfigError(f"{path} is no identity of a bank; pass another distill.bank_path=<folder>") from None
    asked = json.loads(json.dumps(identity))
    names = sorted(name for name in kept.keys() | asked.keys() if kept.get(name) != asked.get(name))
    if names:
        told = "; ".join(f"{name} is {asked.get(name)!s:.80}, the bank has {kept.get(name)!s:.80}" for name in names)
        raise ConfigError(
            f"the bank {folder} is not of this run: {told}; leave distill.bank_path out, or pass distill.bank=off"
        )
