"""Teachers: networks whose answers a student learns, published, from a file, or fresh.

Shapes: B batch, K classes.
"""

import math
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from timm.models import PretrainedCfg
from torch import Tensor, nn

from deit.config import checkpoint_source
from deit.config.errors import ConfigError
from deit.config.network import Scale
from deit.config.teaching import Teacher, TeacherSource
from deit.models.files import State, read_metadata, read_state
from deit.models.hugging_face import description
from deit.models.layouts import is_hugging_face, to_timm
from deit.models.nano import build_nano, has_nano_form
from deit.models.networks import card, classifiers, form
from deit.models.preprocess import Inputs, Preprocess
from deit.models.published import published_weights
from deit.models.weights import load_exactly

__all__ = ["Ensemble", "FrozenTeacher", "TeacherNetwork", "build_teacher", "has_nano_form"]


class TeacherNetwork(nn.Module):
    """A classifier behind the preprocessing that its weights were trained with."""

    def __init__(self, net: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)  # twice as fast for small convnets on a CPU
        self.preprocess = preprocess

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, K) logits."""
        return self.net(self.preprocess(images).contiguous(memory_format=torch.channels_last))

    def sizes(self, given: int) -> list[int]:
        """Side of the images that it sees, of those ``given`` to it."""
        return [self.preprocess.inputs.image_size or given]


class Ensemble(nn.Module):
    """Several teachers as one: the mean of their probabilities."""

    def __init__(self, members: Sequence[TeacherNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, K) logits: the logarithm of the mean, whose softmax is the mean again."""
        answers = torch.stack([member(images).float().log_softmax(dim=-1) for member in self.members])
        return answers.logsumexp(dim=0) - math.log(len(self.members))

    def sizes(self, given: int) -> list[int]:
        """Sides of the images that its members see, of those ``given`` to it."""
        return [size for member in self.members for size in cast(TeacherNetwork, member).sizes(given)]


class FrozenTeacher:
    """A teacher that only answers.

    On purpose no nn.Module: as an attribute of one it stays out of its checkpoints, its parameters, its EMA copy and
    its gradient buckets. Moving it to a device is therefore up to its owner.
    """

    def __init__(
        self, network: TeacherNetwork | Ensemble, name: str, *, label: str | None = None, slug: str | None = None
    ) -> None:
        self.network = network.requires_grad_(False).eval()
        self.name = name
        """What banks identify it by, besides its weights: the name that was set."""
        self.label, self.slug = label or name, slug or name
        """What its weights are, in a sentence and in names of files."""
        self._second_core = ThreadPoolExecutor(max_workers=1)

    def __deepcopy__(self, memo: dict[int, object]) -> "FrozenTeacher":
        return self  # whoever copies a student for averaging shares the teacher

    def to(self, device: torch.device | str) -> "FrozenTeacher":
        """Moves the network in place and returns itself."""
        self.network.to(device)
        return self

    def answer(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, K) float32 logits, a constant to whatever is computed from them."""
        self.network.eval()  # batch statistics of augmented images must never enter its answers
        with torch.inference_mode():
            answered = self.network(images).float()
        return answered.clone()  # a tensor that may enter a loss; what is made in that mode may not

    def promise(self, images: Tensor) -> Callable[[], Tensor]:
        """Start to `answer` and return what waits for it.

        On a CPU another core works meanwhile; a GPU queues the work anyway. Autocast belongs to a thread, so under it
        the answer is given at once.
        """
        if images.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            return self._second_core.submit(self.answer, images).result
        answered = self.answer(images)
        return lambda: answered


def build_teacher(
    teacher: Teacher,
    scale: Scale,
    *,
    image_size: int,
    num_classes: int,
    mean: Sequence[float],
    std: Sequence[float],
    source: TeacherSource,
    normalised: bool = False,
    key: str = "teacher.checkpoint",
) -> TeacherNetwork:
    """The teacher with the weights that ``source`` stands for, predicting ``num_classes`` classes.

    image_size, mean, std: of the student and the data. normalised: whether images come normalised by these, as batches
    do, or in [0, 1]. A teacher without published or recorded ones of its own takes
    these; ``teacher.image_size`` and ``teacher.same_size`` win over either. At nano scale a family that has a small
    form takes it, unless the published weights are asked for: these exist in the published form alone.

    key: what takes a file of published weights that cannot be had, for the message.

    Raises ConfigError for an unknown name, for weights that cannot be had or do not fit, and for a head that
    predicts another number of classes.
    """
    assert source is not TeacherSource.auto, "the configuration resolves auto"
    record = card(teacher.name, "teacher.name")
    given = Inputs(tuple(mean), tuple(std), image_size)
    published = Inputs(tuple(record.mean), tuple(record.std), record.input_size[-1])
    if source is TeacherSource.pretrained:
        inputs = _sized(published, teacher, image_size)
        net = _pretrained(teacher, record, inputs, num_classes, key)
    elif source is TeacherSource.finetune:
        inputs = _sized(published, teacher, image_size)
        net = _with_new_head(teacher, record, inputs, num_classes)
    elif source is TeacherSource.checkpoint:
        path = _checkpoint(teacher)
        recorded = _recorded(path)
        inputs = _sized(recorded or (given if scale.shrink > 1 else published), teacher, image_size)
        net = _from_file(teacher, scale, record, inputs, num_classes, path)
    else:
        inputs = _sized(given, teacher, image_size)
        net = _fresh(teacher, scale, record, inputs, num_classes)
    data = (mean, std) if normalised else None
    return TeacherNetwork(net, Preprocess(inputs.mean, inputs.std, inputs.image_size, given=data))


def _recorded(path: str) -> Inputs | None:
    if Path(path).is_dir() and (described := description(checkpoint_source.snapshot(Path(path)))) is not None:
        return described.inputs
    try:
        return Inputs.from_metadata(read_metadata(path))
    except ValueError as fault:
        raise ConfigError(f"{path} is damaged: it does not say what its network sees ({fault}); make it anew") from None


def _sized(inputs: Inputs, teacher: Teacher, student_size: int) -> Inputs:
    if teacher.same_size:
        return replace(inputs, image_size=student_size)
    return inputs if teacher.image_size is None else replace(inputs, image_size=teacher.image_size)


def _checkpoint(teacher: Teacher) -> str:
    if teacher.checkpoint is None:
        raise ConfigError("teacher.source=checkpoint, but no file is named; pass teacher.checkpoint=<file>")
    return teacher.checkpoint


def _from_file(
    teacher: Teacher, scale: Scale, record: PretrainedCfg, inputs: Inputs, num_classes: int, path: str
) -> nn.Module:
    state = read_state(path)
    if is_hugging_face(state):
        state, _ = to_timm(state)
    if not _is_nano(teacher, scale):
        return _filled(teacher, record, inputs, num_classes, state, path)
    _refuse_other_classes(state, record, num_classes, path)
    net = _fresh(teacher, scale, record, inputs, num_classes)
    load_exactly(net, state, path)
    return net


def _is_nano(teacher: Teacher, scale: Scale) -> bool:
    return scale.shrink > 1 and has_nano_form(teacher.name)


def _fresh(teacher: Teacher, scale: Scale, record: PretrainedCfg, inputs: Inputs, num_classes: int) -> nn.Module:
    if _is_nano(teacher, scale):
        assert inputs.image_size is not None, "fresh teachers are built for the images of the data"
        return build_nano(
            teacher.name, scale, width=teacher.nano_width, image_size=inputs.image_size, num_classes=num_classes
        )
    return form(teacher.name, record, inputs.image_size)(num_classes=num_classes)


def _pretrained(teacher: Teacher, record: PretrainedCfg, inputs: Inputs, num_classes: int, key: str) -> nn.Module:
    if record.num_classes != num_classes:  # known before anything is downloaded
        raise ConfigError(
            f"the published weights of {teacher.name} predict {record.num_classes} classes, the data have"
            f" {num_classes}; pass teacher.source=fit to train a teacher on these data, or teacher.checkpoint=<file of"
            " one for them>"
        )
    path = published_weights(teacher.name, record, key)
    return _filled(teacher, record, inputs, num_classes, read_state(path), str(path))


def _with_new_head(teacher: Teacher, record: PretrainedCfg, inputs: Inputs, num_classes: int) -> nn.Module:
    """The published weights under a fresh head, whatever classes these were trained on."""
    path = published_weights(teacher.name, record, None)
    net = _filled(teacher, record, inputs, record.num_classes, read_state(path), str(path))
    net.reset_classifier(num_classes)  # pyright: ignore[reportCallIssue] - every network of timm has it
    return net


def _filled(
    teacher: Teacher, record: PretrainedCfg, inputs: Inputs, num_classes: int, state: State, path: str
) -> nn.Module:
    """timm's network filled from ``state``, whose keys timm translates where they are of another code base.

    timm is told that the weights predict as many classes as the network does: told otherwise, it would throw the
    head away, load the rest loosely, and hand back random answers without a word.
    """
    _refuse_other_classes(state, record, num_classes, path)
    try:
        net = form(teacher.name, record, inputs.image_size)(
            pretrained=True, pretrained_cfg_overlay={"state_dict": state, "num_classes": num_classes}
        )
    except (RuntimeError, KeyError) as fault:
        _refuse_other_head(str(fault), record, num_classes, path)
        told = "; ".join(line.strip()[:200] for line in str(fault).splitlines()[1:4]) or str(fault)[:200]
        raise ConfigError(
            f"{path} does not fit {teacher.name}; {told}; pass the file of a network of the same form"
        ) from None
    vars(net)["pretrained_cfg"].pop("state_dict")  # timm would keep a second copy of the weights there
    return net


def _refuse_other_classes(state: State, record: PretrainedCfg, num_classes: int, path: str) -> None:
    for classifier in classifiers(record):
        weight = state.get(f"{classifier}.weight")
        if weight is not None and weight.shape[0] != num_classes + (record.label_offset or 0):
            raise _other_classes(path, weight.shape[0], num_classes)


def _refuse_other_head(fault: str, record: PretrainedCfg, num_classes: int, path: str) -> None:
    """The same for keys of another code base: only timm's complaint gives them their names here."""
    for classifier in classifiers(record):
        if match := re.search(rf"size mismatch for {re.escape(classifier)}\.weight:.*?\[(\d+)", fault):
            raise _other_classes(path, int(match[1]), num_classes)


def _other_classes(path: str, found: int, num_classes: int) -> ConfigError:
    return ConfigError(
        f"{path} predicts {found} classes, the data have {num_classes};"
        " pass teacher.checkpoint=<file of a teacher for these data>, or teacher.source=fit"
    )
