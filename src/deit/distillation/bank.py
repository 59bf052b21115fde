"""The bank: a teacher's answers on disk, addressed by (view, image), replayed to any student.

A folder a view, a raw file a field, and one with a checksum of each row; no keys are stored and nothing is unpickled.
Files are read through memory maps and written a row at a time: rows of others that share a page stay as they are, and a
full disk is an error.

Shapes: B batch, K classes, N images of the source.
"""

import errno
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from deit.config.errors import RunError, written
from deit.data.checksums import ABSENT, CHECKSUM, row_checksums
from deit.data.containment import refuse_links_out
from deit.distillation import answers
from deit.distillation.identity import claim

log = logging.getLogger(__name__)

KEPT = "the answers committed before are kept"
DECISION = np.dtype(np.uint16)  # the class + 1; 0 where there is no answer
MOST_CLASSES = 2**16 - 1  # what two bytes can name, but for that 0
DECISIONS, CHECKSUMS = "decision", "checksum"  # fields that every bank has
MOST_ROWS = 2**16  # that are checked at a time
NAMED = 5  # images in one message
MOST_MAPS = 64  # each holds a file open, of which a process may have 1,024, and a run goes through views in order


class CorruptAnswers(RunError):
    """Stored answers that are not what was written.

    Args:
        found: Names the folder and the images.
    """

    def __init__(self, found: str) -> None:
        super().__init__(
            f"{found}; copy that folder again, or type python src/bank.py build with the same settings, or pass"
            " distill.bank=auto: these ask for the answers again"
        )
        self.found = found


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
        self._has_warned = False
        claim(folder, identity)

    def known(self, views: Tensor, indices: Tensor) -> bool:
        """Whether there is an answer to every one of (B,) views of (B,) images."""
        return all(
            self._exists(view) and bool(self._field(view, DECISIONS)[where].all())
            for view, _, where in _by_view(views, indices)
        )

    def num_known(self, view: int) -> int:
        """How many images' view of this number has an answer."""
        return len(self.images_known(view))

    def images_known(self, view: int) -> np.ndarray:
        """Images whose view of this number has an answer."""
        return np.flatnonzero(self._field(view, DECISIONS)) if self._exists(view) else np.empty(0, np.int64)

    def labels_named(self, view: int, labels: np.ndarray) -> float:
        """Share of a view's answers that decide for the image's own of (N,) labels."""
        images = self.images_known(view)
        return float((self._field(view, DECISIONS)[images] == labels[images] + 1).mean())

    def share_kept(self, view: int) -> float:
        """Mean probability of the classes whose logits are kept, over a view's answers."""
        fields = {name: self._field(view, name) for name in self.kept.fields}
        return self.kept.share(fields, self.images_known(view))

    def read(self, views: Tensor, indices: Tensor) -> Tensor:
        """Return known answers to (B,) views of (B,) images, each compared with its checksum.

        Returns:
            (B, K) float32 logits, or (B,) int64 decisions if alone kept.

        Raises:
            CorruptAnswers: If an answer is not what was written.
        """
        fields = {DECISIONS: DECISION, **self.kept.fields}
        rows = {name: np.empty(len(views), kind) for name, kind in fields.items()}
        for view, chosen, where in _by_view(views, indices):
            found = self._rows(view, where)
            self._refuse_corrupt(view, where, found)
            for name, values in found.items():
                rows[name][chosen] = values
        decisions = rows.pop(DECISIONS)
        assert decisions.all(), f"{self.folder} is asked for answers that it does not have"
        return self.kept.decode(decisions.astype(np.int64) - 1, rows)

    def check(self, view: int) -> int:
        """Compare every answer to a view with its checksum, and log how many are lost; returns how many have none.

        Raises:
            CorruptAnswers: If an answer is not what was written.
        """
        images, without = self.images_known(view), 0
        written = self._stored_checksums(view, np.arange(self.num_images)) != ABSENT
        written[images] = False
        if written.any():
            log.warning(f"{self.folder}: {written.sum()} answers to view {view} are lost, or were never committed")
        for first in range(0, len(images), MOST_ROWS):
            where = images[first : first + MOST_ROWS]
            without += self._refuse_corrupt(view, where, self._rows(view, where))
        return without

    def add_checksums(self, view: int) -> None:
        """Store checksums of those answers to a view that have none, as they are now."""
        images = self.images_known(view)
        for first in range(0, len(images), MOST_ROWS):
            where = images[first : first + MOST_ROWS]
            where = where[self._stored_checksums(view, where) == ABSENT]
            if len(where):
                self._store(view, CHECKSUMS, where, self._checksums(view, where, self._rows(view, where)))
                self._sync(view, CHECKSUMS)

    def views(self) -> list[int]:
        """Return the numbers of the views of which anything is stored."""
        names = (path.name.removeprefix("view_") for path in self.folder.glob("view_*"))
        return sorted(int(name) for name in names if name.isdecimal())

    def _rows(self, view: int, where: np.ndarray) -> dict[str, np.ndarray]:
        """Return the decisions and fields of some images."""
        return {name: self._field(view, name)[where] for name in (DECISIONS, *self.kept.fields)}

    def _checksums(self, view: int, where: np.ndarray, rows: Mapping[str, np.ndarray]) -> np.ndarray:
        key = (np.full(len(where), view, np.int64), where.astype(np.int64))
        return row_checksums(key, [rows[name] for name in (DECISIONS, *self.kept.fields)])

    def _stored_checksums(self, view: int, where: np.ndarray) -> np.ndarray:
        """Return the stored checksums of some images, ABSENT where there are none."""
        path, _ = self._path(view, CHECKSUMS)
        if (view, CHECKSUMS) not in self._maps and not (path.is_file() and path.stat().st_size):
            return np.zeros(len(where), CHECKSUM)
        return self._field(view, CHECKSUMS)[where]

    def _refuse_corrupt(self, view: int, where: np.ndarray, rows: Mapping[str, np.ndarray]) -> int:
        """Compare the ``rows`` of some images with their checksums; returns how many have none."""
        stored = self._stored_checksums(view, where)
        has_none = stored == ABSENT
        wrong = ~has_none & (stored != self._checksums(view, where, rows))
        # Of what has no checksum, at least the classes must be some that there are.
        wrong |= rows[DECISIONS] > self.num_classes
        if "class" in rows:
            wrong |= (rows["class"] >= self.num_classes).any(axis=1)
        if wrong.any():
            folder, images = self._path(view, CHECKSUMS)[0].parent, where[wrong]
            more = f" and {len(images) - NAMED} more" if len(images) > NAMED else ""
            raise CorruptAnswers(
                f"{folder} is damaged: the answers to images {', '.join(map(str, images[:NAMED]))}{more} are not what"
                " was written"
            )
        if has_none.any() and not self._has_warned:
            self._has_warned = True
            log.warning(
                f"{self.folder} has answers without checksums, in which damage would not be noticed; python src/bank.py"
                " verify, with the same settings, compares them with the teacher and adds the checksums"
            )
        return int(has_none.sum())

    def write(self, views: Tensor, indices: Tensor, logits: Tensor) -> Tensor:
        """Keep (B, K) answers; they are known after the next `commit`. Returns them as `read` will.

        Raises:
            RunError: if the disk does not take them.
        """
        logits = logits.detach().float().cpu()
        encoded = self._encoded(logits)
        decisions = logits.argmax(dim=-1).numpy() + 1
        for view, chosen, where in _by_view(views, indices):
            rows = {DECISIONS: decisions[chosen].astype(DECISION), **{name: v[chosen] for name, v in encoded.items()}}
            for name in self.kept.fields:
                self._store(view, name, where, rows[name])
            self._store(view, CHECKSUMS, where, self._checksums(view, where, rows))
            self._pending.append((view, where, rows[DECISIONS]))
        return self.kept.decode(decisions - 1, encoded)

    def rounded(self, logits: Tensor) -> Tensor:
        """Return (B, K) logits as `read` would after `write`, without storing them."""
        logits = logits.detach().float().cpu()
        return self.kept.decode(logits.argmax(dim=-1).numpy(), self._encoded(logits))

    def _encoded(self, logits: Tensor) -> dict[str, np.ndarray]:
        fields = self.kept.fields
        return {name: values.astype(fields[name].base) for name, values in self.kept.encode(logits).items()}

    def commit(self) -> None:
        """Bring what was written to disk, then the decisions, which make it known.

        Raises:
            RunError: if the disk does not take them.
        """
        touched = {view for view, _, _ in self._pending}
        for view in touched:
            for name in (*self.kept.fields, CHECKSUMS):
                self._sync(view, name)
        for view, where, decisions in self._pending:
            self._store(view, DECISIONS, where, decisions)
        self._pending.clear()
        for view in touched:
            self._sync(view, DECISIONS)

    def _path(self, view: int, name: str) -> tuple[Path, np.dtype]:
        """The file of a field, and the type of a row of it."""
        kind = {DECISIONS: DECISION, CHECKSUMS: CHECKSUM, **self.kept.fields}[name]
        return self.folder / f"view_{view:05d}" / f"{name}.{kind.base.kind}{8 * kind.base.itemsize}", kind

    def _exists(self, view: int) -> bool:
        """Whether anything of this view was committed; a file that is just being made is empty."""
        if (view, DECISIONS) in self._maps:
            return True
        path, _ = self._path(view, DECISIONS)
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
