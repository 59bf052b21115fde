"""Folders that transformers writes with ``save_pretrained``, and what their JSON files say of a network."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from deit.config.checkpoint_source import EXPORTED
from deit.config.errors import ConfigError
from deit.models.class_names import named_as_imagenet
from deit.models.preprocess import LARGEST_IMAGE, Inputs

log = logging.getLogger(__name__)

PREPROCESSOR = "preprocessor_config.json"
KINDS = ("deit", "vit")
"""Values of ``model_type`` that timm's transformers have the layout of."""

_STANDARD = (0.5, 0.5, 0.5)  # mean and deviation of transformers' image processors for these networks
_MULTI_LABEL = "multi_label_classification"


@dataclass(frozen=True)
class Architecture:
    """What the shapes of the tensors do not tell."""

    heads: int
    """Attention heads."""
    epsilon: float
    """Added to the variance in each normalisation."""
    activation: str
    """Of the MLPs, as both libraries call it."""


@dataclass(frozen=True)
class Described:
    """A network as its folder describes it."""

    architecture: Architecture
    classes: tuple[str, ...] | None
    """Names in the order of the logits; None where they have only numbers."""
    inputs: Inputs
    """Mean, deviation and image size."""
    crop: float
    """Side of the evaluation crop over the resized image."""


def is_of_transformers(folder: Path) -> bool:
    """Return True if config.json of ``folder`` is one of transformers', and not of timm's."""
    return "model_type" in (_json(folder / EXPORTED) or {})


def description(folder: Path) -> Described | None:
    """Return what ``folder`` says of its network; None for a folder of timm's, or without config.json.

    Raises:
        ConfigError: naming the file, for a network of another kind, and for what cannot be read.
    """
    content = _json(folder / EXPORTED)
    if content is None or not is_of_transformers(folder):
        return None
    file, kind = folder / EXPORTED, content["model_type"]
    if kind not in KINDS:
        raise ConfigError(
            f"{file}: model_type must be {' or '.join(KINDS)}, got {kind}. Pass a folder of one of these, or"
            " timm:<name>."
        )
    if content.get("num_channels", 3) != 3:
        raise ConfigError(
            f"{file}: num_channels must be 3, got {content['num_channels']}. Pass a network of RGB images."
        )
    if content.get("problem_type") == _MULTI_LABEL:
        raise ConfigError(f"{file}: problem_type must be single_label_classification, got {_MULTI_LABEL}.")
    try:
        architecture = Architecture(
            heads=int(cast(int, content.get("num_attention_heads", 12))),
            epsilon=float(cast(float, content.get("layer_norm_eps", 1e-12))),
            activation=str(content.get("hidden_act", "gelu")),
        )
        if architecture.heads < 1:
            raise ValueError(f"num_attention_heads is {architecture.heads}")
        size = _side(content.get("image_size", 224))
        said = _json(folder / PREPROCESSOR)
        if said is None:
            log.warning(f"{folder} has no {PREPROCESSOR}: mean, deviation and crop are the usual ones of {kind}")
        inputs, crop = _processing(said or {}, kind, size)
        return Described(architecture, _classes(content), inputs, crop)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as fault:
        raise ConfigError(f"{folder} does not describe its network ({fault}); download it again") from None


def _json(file: Path) -> Mapping[str, object] | None:
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as fault:
        raise ConfigError(f"{file} is damaged ({fault}); download it again") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{file} is damaged: it holds no object; download it again")
    return content


def _classes(content: Mapping[str, object]) -> tuple[str, ...] | None:
    """The names of the classes; ImageNet's as the data sets here call them."""
    labels = cast(Mapping[str, object], content.get("id2label") or {})
    if sorted(map(int, labels)) != list(range(len(labels))):
        raise ValueError("id2label does not count from 0")
    names = tuple(str(labels[key]) for key in sorted(labels, key=int))
    if not names or names == tuple(f"LABEL_{number}" for number in range(len(names))):
        return None
    return named_as_imagenet(names) or names


def _processing(content: Mapping[str, object], kind: object, size: int) -> tuple[Inputs, float]:
    """Mean and deviation, and the share of the crop; without a crop images are resized as a whole."""
    assumed = _STANDARD if kind == "vit" else None
    mean, std = (content.get(name) or assumed for name in ("image_mean", "image_std"))
    if content.get("do_normalize", True) is False:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if mean is None or std is None:
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the published DeiT
    crop = 1.0
    if content.get("do_center_crop", kind == "deit"):
        crop = min(1.0, _side(content.get("crop_size", 224)) / _side(content.get("size", 256)))
    found = Inputs(tuple(map(float, cast(list, mean))), tuple(map(float, cast(list, std))), size)
    checked = Inputs.from_metadata(found.metadata())
    assert checked is not None
    return checked, crop


def _side(size: object) -> int:
    """The side of a square image, in any of the forms in which it is written."""
    if isinstance(size, Mapping):
        sides = [size[name] for name in ("height", "width", "shortest_edge") if name in size]
    else:
        sides = list(size) if isinstance(size, list | tuple) else [size]
    found = {int(cast(int, side)) for side in sides}
    if len(found) != 1 or not 0 < min(found) <= LARGEST_IMAGE:
        raise ValueError(f"images of {size} pixels, where one side up to {LARGEST_IMAGE} is needed")
    return found.pop()
