"""The networks that are evaluated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.models.preprocess import Preprocess
from deit.models.students import Student
from deit.models.trained import Trained, read_trained

RAW, AVERAGED = "raw", "ema"
HELD_OUT = ("kind", "root", "path", "seed", "test_fraction", "val_fraction", "own_val")
"""Settings by which two runs may differ in the images that they have not learnt from."""


@dataclass(frozen=True)
class Subject:
    """A network with the name that it has in tables."""

    name: str
    source: str
    """What the user called it."""
    weights: str | None
    """raw or ema where a checkpoint holds both."""
    trained: Trained

    @property
    def is_unnamed(self) -> bool:
        """Whether nobody has recorded what its classes are called; those of a run are, be they numbers."""
        classes = self.trained.classes
        return self.trained.config is None and classes == tuple(map(str, range(len(classes))))


def read_subjects(sources: Sequence[str]) -> list[Subject]:
    """The networks of ``sources``, raw and averaged weights each by itself, those that are a run's own first.

    Raises:
        ConfigError: naming every source that cannot be read, or if they do not tell the same classes apart.
    """
    subjects: list[Subject] = []
    problems: list[str] = []
    for source in sources:
        try:
            subjects += _of(source)
        except ConfigError as error:
            problems.append(str(error))
    problems = problems or _other_classes(subjects)
    if problems:
        raise ConfigError.of(problems)
    return _told_apart(subjects)


def taking_normalised(trained: Trained) -> Student:
    """Its student for images that come normalised by its own mean and deviation, as a run's batches do."""
    inputs = trained.inputs
    given = (inputs.mean, inputs.std)
    return Student(trained.student.net, Preprocess(*given, inputs.image_size, given=given)).eval()


def own_config(subjects: Sequence[Subject]) -> Config | None:
    """What the first that is a run's was made with."""
    return next((one.trained.config for one in subjects if one.trained.config is not None), None)


def _of(source: str) -> list[Subject]:
    chosen = read_trained(source, reads_both=True)
    if not chosen.has_average:
        return [Subject(chosen.name, source, None, chosen)]
    is_averaged = chosen.config is not None and chosen.config.optim.ema_chosen
    other = read_trained(source, ema=not is_averaged)
    names = (AVERAGED, RAW) if is_averaged else (RAW, AVERAGED)
    return [Subject(chosen.name, source, name, one) for name, one in zip(names, (chosen, other), strict=True)]


def _other_classes(subjects: Sequence[Subject]) -> list[str]:
    first = subjects[0]
    problems = []
    for one in subjects[1:]:
        mine, its = first.trained.classes, one.trained.classes
        if len(mine) != len(its) or (mine != its and not (first.is_unnamed or one.is_unnamed)):
            problems.append(
                f"{one.source} tells {_shown(its)} apart, {first.source} {_shown(mine)}: only networks of the same"
                " classes, in the same order, can be compared on the same images; evaluate them one by one"
            )
    return list(dict.fromkeys(problems))


def refuse_other_images(subjects: Sequence[Subject]) -> None:
    """Refuse runs that held out other images: what is a test to one was shown to the other.

    Raises:
        ConfigError: with what they differ in.
    """
    runs = [(one.source, one.trained.config) for one in subjects if one.trained.config is not None]
    problems = []
    for source, config in runs[1:]:
        first = runs[0][1]
        differing = [k for k in HELD_OUT if getattr(config.data, k) != getattr(first.data, k)]
        if differing:
            said = ", ".join(f"data.{k}={getattr(config.data, k)}, not {getattr(first.data, k)}" for k in differing)
            problems.append(
                f"{source} held out other images than {runs[0][0]} ({said}), so it may have learnt from those that"
                " would be compared on; evaluate them one by one, or say on which data with data=<set>"
            )
    if problems:
        raise ConfigError.of(list(dict.fromkeys(problems)))


def refuse_other_turns(subjects: Sequence[Subject]) -> None:
    """Refuse runs of which one saw its photographs upright and another as they are stored: all are shown the same.

    Raises:
        ConfigError: naming one of each.
    """
    runs = [(one.source, one.trained.config.data) for one in subjects if one.trained.config is not None]
    for source, data in runs[1:]:
        if data.shows_upright != runs[0][1].shows_upright:
            raise ConfigError(
                f"{source} was trained with data.upright={str(data.upright).lower()}, {runs[0][0]} with"
                f" {str(runs[0][1].upright).lower()}, and an evaluation shows all networks the same images; evaluate"
                " them one by one, or choose with data.upright=true or data.upright=false"
            )


def _shown(classes: tuple[str, ...]) -> str:
    return f"{len(classes)} classes ({', '.join(classes[:3])}, …)"


def _told_apart(subjects: Sequence[Subject]) -> list[Subject]:
    """With the weights in the name, and the whole path where two have the same."""
    named = []
    for one in subjects:
        is_alone = all(other.source == one.source for other in subjects if other.name == one.name)
        name = one.name if is_alone else one.source
        named.append(replace(one, name=name if one.weights is None else f"{name} ({one.weights})"))
    return named
