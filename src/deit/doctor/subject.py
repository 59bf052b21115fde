"""What a configuration names, opened once for all checks that need it, and only when the first one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.config.teacher_names import network_name
from deit.config.teaching import TeacherSource
from deit.doctor.verdicts import Unmet

if TYPE_CHECKING:  # torch is imported by what needs it, so that a broken one is a verdict
    from deit.data.sources import DataSet
    from deit.models.teachers import FrozenTeacher

Opened = TypeVar("Opened")


class Subject:
    """The configuration under examination.

    Args:
        config: What a run would be given.
        all_images: Whether every image is to be decoded.

    The first check to ask for what cannot be opened gets the `ConfigError`, later ones `Unmet`.
    """

    def __init__(self, config: Config, *, all_images: bool = False) -> None:
        self.given, self.all_images = config, all_images
        self._opened: dict[str, object] = {}
        self._failed: set[str] = set()

    @property
    def config(self) -> Config:
        """With batch and warm-up for the images there are."""
        from deit.training.run import suited

        return self._once("the configuration", lambda: suited(self.given, self.dataset))

    @property
    def dataset(self) -> DataSet:
        """The data, training images as their files have them."""
        from deit.data.sources import open_dataset

        return self._once("the data", lambda: open_dataset(self.given.data))

    @property
    def trained_on(self) -> DataSet:
        """The same, training images packed where the configuration wants it.

        Raises:
            Unmet: if they were never packed, which takes too long for a check.
        """
        from deit.data.packing import is_packed, packed

        data = self.given.data
        if data.packed_side is not None and not is_packed(self.dataset, data):
            raise Unmet("the images are not packed yet; a run packs them first")
        return self._once("the packed images", lambda: packed(self.dataset, data))

    @property
    def teacher(self) -> FrozenTeacher:
        """The teacher with its weights, never fitted here.

        Raises:
            Unmet: saying why there is none.
        """
        from deit.training import teachers
        from deit.training.plan import unfitted

        config = self.config
        if not config.uses_teacher:
            raise Unmet(_unused(config))
        if config.teacher_source is TeacherSource.random:
            raise Unmet("teacher.source=random has learnt nothing")
        if missing := unfitted(config, self.trained_on):
            raise Unmet(f"not fitted yet, the first run does it into {', '.join(map(str, missing))}")
        found = self._once("the teacher", lambda: teachers.obtain(config, self.trained_on))
        return cast("FrozenTeacher", found)

    def _once(self, name: str, opened: Callable[[], Opened]) -> Opened:
        if name in self._failed:
            raise Unmet(f"{name} cannot be opened")
        if name not in self._opened:
            try:
                self._opened[name] = opened()
            except ConfigError:
                self._failed.add(name)
                raise
        return cast(Opened, self._opened[name])


def _unused(config: Config) -> str:
    if not config.teacher.present:
        return "teacher=none"
    return f"distill=none does not ask teacher={network_name(config.teacher.name)}; distill=hard or distill=soft does"
