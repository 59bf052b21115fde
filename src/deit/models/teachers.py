"""Teachers: networks whose answers a student learns, published, from a file, or fresh.

Shapes: B batch, K classes.
"""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import timm
import torch
from timm.models import PretrainedCfg
from torch import Tensor, nn

from deit.config.errors import ConfigError, nearest
from deit.config.network import Scale
from deit.config.teaching import Teacher, TeacherSource
from deit.models.nano import build_nano, has_nano_form
from deit.models.preprocess import Inputs, Preprocess
from deit.models.published import published_weights
from deit.models.weights import State, load_exactly, read_metadata, read_state

__all__ = ["FrozenTeacher", "TeacherNetwork", "build_teacher", "has_nano_form"]


class TeacherNetwork(nn.Module):
    """A classifier behind the preprocessing that its weights were trained with."""

    def __init__(self, net: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)  # twice as fast for small convnets on a CPU
        self.preprocess = preprocess

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to (B, K) logits."""
        return self.net(self.preprocess(images).contiguous(memory_format=torch.channels_last))


class FrozenTeacher:
    """A teacher that only answers.

    On purpose no nn.Module: as an attribute of one it stays out of its checkpoints, its parameters, its EMA copy and
    its gradient buckets. Moving it to a device is therefore up to its owner.
    """

    def __init__(self, network: TeacherNetwork, name: str) -> None:
        self.network = network.requires_grad_(False).eval()
        self.name = name
        self._second_core = ThreadPoolExecutor(max_workers=1)

    def __deepcopy__(self, memo: dict[int, object]) -> "FrozenTeacher":
        return self  # whoever copies a student for averaging shares the teacher

    def to(self, device: torch.device | str) -> "FrozenTeacher":
        """Moves the network in place and returns itself."""
        self.network.to(device)
        return self

    def answer(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to (B, K) float32 logits, a constant to whatever is computed from them.

        no_grad rather than inference_mode, whose tensors may not enter a loss that is differentiated.
        """
        self.network.eval()  # batch statistics of augmented images must never enter its answers
        with torch.no_grad():
            return self.network(images).float()

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
) -> TeacherNetwork:
    """The teacher with the weights that ``source`` stands for, predicting ``num_classes`` classes.

    image_size, mean, std: of the student and the data. A teacher without published or recorded ones of its own takes
    these; ``teacher.image_size`` wins over either. At nano scale a family that has a small form takes it, unless the
    published weights are asked for: these exist in the published form alone.

    Raises ConfigError for an unknown name, for weights that cannot be had or do not fit, and for a head that
    predicts another number of classes.
    """
    assert source is not TeacherSource.auto, "the configuration resolves auto"
    card = _card(teacher.name)
    given = Inputs(tuple(mean), tuple(std), image_size)
    published = Inputs(tuple(card.mean), tuple(card.std), card.input_size[-1])
    if source is TeacherSource.pretrained:
        inputs = _sized(published, teacher)
        net = _pretrained(teacher, card, inputs, num_classes)
    elif source is TeacherSource.checkpoint:
        path = _checkpoint(teacher)
        recorded = Inputs.from_metadata(read_metadata(path))
        inputs = _sized(recorded or (given if scale.shrink > 1 else published), teacher)
        net = _from_file(teacher, scale, card, inputs, num_classes, path)
    else:
        inputs = _sized(given, teacher)
        net = _fresh(teacher, scale, card, inputs, num_classes)
    return TeacherNetwork(net, Preprocess(inputs.mean, inputs.std, inputs.image_size))


def _card(name: str) -> PretrainedCfg:
    """timm's record of the weights called ``name``: their size, statistics, classes and whereabouts."""
    variant, _, tag = name.partition(".")
    if not timm.is_model(variant):
        guess = nearest(variant, timm.list_models())
        hint = "" if guess is None else f"; pass teacher.name={guess}"
        raise ConfigError(f"timm has no network called {variant}; possible: names from timm.list_models(){hint}")
    names = timm.list_models(f"{variant}.*", include_tags=True) if tag else []
    if tag and name not in names:
        guess = nearest(name, names) or variant
        raise ConfigError(
            f"{variant} has no weights called {tag}; possible: {', '.join(names) or variant}; pass teacher.name={guess}"
        )
    card = timm.get_pretrained_cfg(name)
    assert card is not None, f"timm registers {variant} without a record"
    return card


def _sized(inputs: Inputs, teacher: Teacher) -> Inputs:
    return inputs if teacher.image_size is None else replace(inputs, image_size=teacher.image_size)


def _checkpoint(teacher: Teacher) -> str:
    if teacher.checkpoint is None:
        raise ConfigError("teacher.source=checkpoint, but no file is named; pass teacher.checkpoint=<file>")
    return teacher.checkpoint


def _timm_form(teacher: Teacher, card: PretrainedCfg, inputs: Inputs) -> Callable[..., nn.Module]:
    """timm.create_model for this teacher; networks bound to a size, as by position embeddings, are told theirs."""
    if card.fixed_input_size and inputs.image_size is not None:
        return partial(timm.create_model, teacher.name, img_size=inputs.image_size)
    return partial(timm.create_model, teacher.name)


def _from_file(
    teacher: Teacher, scale: Scale, card: PretrainedCfg, inputs: Inputs, num_classes: int, path: str
) -> nn.Module:
    state = read_state(path)
    if not _is_nano(teacher, scale):
        return _filled(teacher, card, inputs, num_classes, state, path)
    _refuse_other_classes(state, card, num_classes, path)
    net = _fresh(teacher, scale, card, inputs, num_classes)
    load_exactly(net, state, path)
    return net


def _is_nano(teacher: Teacher, scale: Scale) -> bool:
    return scale.shrink > 1 and has_nano_form(teacher.name)


def _fresh(teacher: Teacher, scale: Scale, card: PretrainedCfg, inputs: Inputs, num_classes: int) -> nn.Module:
    if _is_nano(teacher, scale):
        assert inputs.image_size is not None, "fresh teachers are built for the images of the data"
        return build_nano(
            teacher.name, scale, width=teacher.nano_width, image_size=inputs.image_size, num_classes=num_classes
        )
    return _timm_form(teacher, card, inputs)(num_classes=num_classes)


def _pretrained(teacher: Teacher, card: PretrainedCfg, inputs: Inputs, num_classes: int) -> nn.Module:
    if card.num_classes != num_classes:  # known before anything is downloaded
        raise ConfigError(
            f"the published weights of {teacher.name} predict {card.num_classes} classes, the data have {num_classes};"
            " pass teacher.source=fit to train a teacher on these data, or teacher.checkpoint=<file of one for them>"
        )
    path = published_weights(teacher.name, card)
    return _filled(teacher, card, inputs, num_classes, read_state(path), str(path))


def _filled(
    teacher: Teacher, card: PretrainedCfg, inputs: Inputs, num_classes: int, state: State, path: str
) -> nn.Module:
    """timm's network filled from ``state``, whose keys timm translates where they are of another code base.

    timm is told that the weights predict as many classes as the network does: told otherwise, it would throw the
    head away, load the rest loosely, and hand back random answers without a word.
    """
    _refuse_other_classes(state, card, num_classes, path)
    try:
        net = _timm_form(teacher, card, inputs)(
            pretrained=True, pretrained_cfg_overlay={"state_dict": state, "num_classes": num_classes}
        )
    except (RuntimeError, KeyError) as fault:
        _refuse_other_head(str(fault), card, num_classes, path)
        told = "; ".join(line.strip()[:200] for line in str(fault).splitlines()[1:4]) or str(fault)[:200]
        raise ConfigError(
            f"{path} does not fit {teacher.name}; {told}; pass the file of a network of the same form"
        ) from None
    vars(net)["pretrained_cfg"].pop("state_dict")  # timm would keep a second copy of the weights there
    return net


def _refuse_other_classes(state: State, card: PretrainedCfg, num_classes: int, path: str) -> None:
    for classifier in _classifiers(card):
        weight = state.get(f"{classifier}.weight")
        if weight is not None and weight.shape[0] != num_classes + (card.label_offset or 0):
            raise _other_classes(path, weight.shape[0], num_classes)


def _refuse_other_head(fault: str, card: PretrainedCfg, num_classes: int, path: str) -> None:
    """The same for keys of another code base: only timm's complaint gives them their names here."""
    for classifier in _classifiers(card):
        if match := re.search(rf"size mismatch for {re.escape(classifier)}\.weight:.*?\[(\d+)", fault):
            raise _other_classes(path, int(match[1]), num_classes)


def _classifiers(card: PretrainedCfg) -> tuple[str, ...]:
    if card.classifier is None:
        return ()
    return (card.classifier,) if isinstance(card.classifier, str) else tuple(card.classifier)


def _other_classes(path: str, found: int, num_classes: int) -> ConfigError:
    return ConfigError(
        f"{path} predicts {found} classes, the data have {num_classes};"
        " pass teacher.checkpoint=<file of a teacher for these data>, or teacher.source=fit"
    )
