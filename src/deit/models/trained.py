"""A trained network read back for use, whatever it comes from: a run, a file, an exported folder, timm.

Shapes: B batch, K classes.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import timm
from torch import nn

from deit.config import checkpoint_source, compose
from deit.config.checkpoint_source import BEST, EXPORTED
from deit.config.errors import ConfigError
from deit.config.network import Scale
from deit.config.schema import PUBLISHED, Config
from deit.config.teacher_names import network_name
from deit.config.teaching import Fusion, Teacher, TeacherSource
from deit.models.class_names import imagenet_classes
from deit.models.description import CLASSES, CONFIG, DATA, DESCRIPTION
from deit.models.files import read_metadata, read_state, read_torch, read_weights
from deit.models.hugging_face import Described, description, is_of_transformers
from deit.models.inferred import infer_network, usual
from deit.models.layouts import is_hugging_face, to_timm
from deit.models.networks import card
from deit.models.preprocess import Inputs, Preprocess
from deit.models.students import Student, build_student
from deit.models.teachers import build_teacher
from deit.models.weights import load_exactly

log = logging.getLogger(__name__)

OFFICIAL_CROP = 0.875  # the official code's evaluation: 224 of 256 pixels
IMAGENET = Inputs((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), None)
"""What released files that do not say so were trained on."""

_OF_RECORD = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std", "first_conv", "classifier")


@dataclass(frozen=True)
class Trained:
    """A network with what is needed to ask it about an image."""

    name: str
    """What to call it in a table."""
    student: Student
    """In evaluation mode on the CPU: (B, 3, H, W) in [0, 1] to the logits of each head."""
    classes: tuple[str, ...]
    """Names in the order of the logits; numbers where nobody has recorded names."""
    crop: float
    """Side of the evaluation crop over the resized image."""
    upright: bool = True
    """Whether photographs are turned as their EXIF orientation says, as the images were that it has learnt from; what
    does not say so is shown them as a person sees them."""
    fusion: Fusion = Fusion.softmax
    """Which fusion of two heads is the answer."""
    has_average: bool = False
    """Whether averaged weights lie beside the raw ones."""
    config: Config | None = None
    """What a run of ours was; None for what comes from elsewhere."""
    data: str | None = None
    """Digest of the images of a run and of their splits; None if it is not recorded."""

    @property
    def inputs(self) -> Inputs:
        """Size, mean and deviation of what it sees."""
        return self.student.preprocess.inputs

    @property
    def image_size(self) -> int:
        """Side of its images in pixels."""
        size = self.inputs.image_size
        assert size is not None, "every reader here knows the size"
        return size


def read_trained(
    source: str | Path, *, ema: bool | None = None, key: str = "checkpoint", reads_both: bool = False
) -> Trained:
    """The network that ``source`` names.

    Args:
        source: A run's folder; one of its checkpoints; a file in the layout of the official code, timm or Hugging Face;
            a teacher fitted here; a folder that src/export.py or transformers wrote, or of the Hub's cache; or
            timm:<name>.
        ema: The averaged weights, or the raw ones, of a checkpoint that holds both; None: those that the run chose.
        key: What the user set to ``source``, for messages.
        reads_both: Whether the caller reads the other weights too, so that none are passed over.

    Raises:
        ConfigError: for what cannot be found, read without executing code, or recognised, and for averaged weights that
            are asked for and are not there.
    """
    found = _read(str(source), ema, key)
    if ema and not found.has_average:
        raise ConfigError(f"ema=true, but {source} holds no averaged weights; pass ema=false")
    if ema is None and found.has_average and found.config is None and not reads_both:
        log.warning(f"{source} holds raw and averaged weights: the raw ones are used; ema=true takes the average")
    return found


def _read(text: str, ema: bool | None, key: str) -> Trained:
    if found := list(checkpoint_source.problems(text, key)):
        raise ConfigError.of(found)
    path = Path(text)
    if text.startswith(PUBLISHED):
        return _published(text.removeprefix(PUBLISHED), key)
    if path.is_dir():
        folder = checkpoint_source.snapshot(path)
        if (folder / EXPORTED).is_file():
            return _bare(folder, path.name, {}, ema=bool(ema)) if is_of_transformers(folder) else _exported(folder)
        path = folder / BEST
    elif not path.is_file():
        if not timm.is_model(text.partition(".")[0]):
            raise ConfigError(checkpoint_source.nothing_there(text, key))
        return _published(text, key)
    if (own := _description(path)) is not None:
        return _of_run(path, own, ema)
    if {"name", "form"} <= (metadata := read_metadata(path)).keys():
        return _fitted_teacher(path, metadata)
    return _bare(path, path.stem, metadata, ema=bool(ema))


def _description(path: Path) -> Mapping[str, object] | None:
    """What a checkpoint of ours says of itself; None for other files."""
    if path.suffix != ".ckpt":
        return None
    content = read_torch(path)
    found = content.get(DESCRIPTION) if isinstance(content, Mapping) else None
    return found if isinstance(found, Mapping) and {CONFIG, CLASSES} <= found.keys() else None


def _of_run(path: Path, description: Mapping[str, object], ema: bool | None) -> Trained:
    config = compose.recorded(cast(Mapping[str, object], description[CONFIG]), path)
    classes = tuple(map(str, cast(list[object], description[CLASSES])))
    student = build_student(
        config.model,
        config.scale,
        image_size=config.image_size,
        token=config.token,
        num_classes=len(classes),
        mean=config.data.mean,
        std=config.data.std,
    )
    averaged = config.optim.ema is not None
    state = read_state(path, ema=config.optim.ema_chosen if ema is None else ema, key="ema")
    load_exactly(student.net, state, path)
    folder = path.absolute().parent.parent if path.parent.name == "checkpoints" else path
    return Trained(
        name=folder.name,
        student=student.eval(),
        classes=classes,
        crop=config.augment.eval_share,
        upright=config.data.shows_upright,
        fusion=config.distill.fusion,
        has_average=averaged,
        config=config,
        data=cast(str | None, description.get(DATA)),
    )


def _fitted_teacher(path: Path, metadata: Mapping[str, str]) -> Trained:
    """A teacher that a run has fitted on its data and kept."""
    try:
        form = json.loads(metadata["form"])
        scale, width, classes = Scale(**form["scale"]), form["nano_width"], tuple(map(str, form["classes"]))
        inputs = Inputs.from_metadata(metadata)
        assert inputs is not None and inputs.image_size is not None
    except (ValueError, TypeError, KeyError, AssertionError) as fault:
        raise ConfigError(f"{path} is damaged: it does not say what its network is ({fault}); make it anew") from None
    teacher = Teacher(name=metadata["name"], checkpoint=str(path), nano_width=width, num_classes=len(classes))
    network = build_teacher(
        teacher,
        scale,
        image_size=inputs.image_size,
        num_classes=len(classes),
        mean=inputs.mean,
        std=inputs.std,
        source=TeacherSource.checkpoint,
    )
    student = Student(network.net, network.preprocess)
    return Trained(
        name=metadata.get("label") or f"{network_name(metadata['name'])} (fitted here)",
        student=student.eval(),
        classes=classes,
        crop=float(form["crop"]),
        upright=form.get("upright", True) is True,
    )


def _bare(path: Path, name: str, metadata: Mapping[str, str], *, ema: bool) -> Trained:
    """Weights alone, or a folder of transformers: what they are of follows from the shapes and from config.json."""
    found = read_weights(path, ema=ema, key="ema")
    state, _ = to_timm(found.state)
    described, known = None, None
    if is_hugging_face(found.state):
        described = description(path if path.is_dir() else path.parent)
        known = described.architecture if described else usual(state)
    net, state, image_size, num_classes = infer_network(state, path, known)
    load_exactly(net, state, path)
    inputs = described.inputs if described else Inputs.from_metadata(metadata) or IMAGENET
    return Trained(
        name=name,
        student=Student(net, Preprocess(inputs.mean, inputs.std, image_size)).eval(),
        classes=_classes(described, num_classes, path),
        crop=described.crop if described else OFFICIAL_CROP,
        fusion=Fusion.logits if described else Fusion.softmax,  # transformers decides by the mean of two heads' logits
        has_average=found.has_average or ema,
    )


def _classes(described: Described | None, num_classes: int, path: Path) -> tuple[str, ...]:
    if described is None or described.classes is None:
        return imagenet_classes(num_classes)
    if len(described.classes) != num_classes:
        raise ConfigError(
            f"{path}: id2label of config.json must name {num_classes} classes, got {len(described.classes)}. Pass a"
            " folder whose files belong together."
        )
    return described.classes


def _published(name: str, key: str) -> Trained:
    record = card(name, key)
    teacher = Teacher(name=name, num_classes=record.num_classes)
    paper = Scale(name="paper", head_dim=64, depth=12, patch_size=16, image_size=224, shrink=1)
    network = build_teacher(
        teacher,
        paper,
        image_size=record.input_size[-1],
        num_classes=record.num_classes,
        mean=record.mean,
        std=record.std,
        source=TeacherSource.pretrained,
        key=key,
    )
    student = Student(network.net, network.preprocess)
    return Trained(
        name=name, student=student.eval(), classes=imagenet_classes(record.num_classes), crop=float(record.crop_pct)
    )


def _exported(folder: Path) -> Trained:
    """A folder in timm's layout, as src/export.py and the Hub have it."""
    try:
        content = json.loads((folder / EXPORTED).read_text(encoding="utf-8"))
        record = content.get("pretrained_cfg") or content  # timm before 0.9 wrote one level
        num_classes, crop = int(content["num_classes"]), float(record.get("crop_pct") or OFFICIAL_CROP)
        classes = tuple(map(str, content.get("label_names") or record.get("labels") or imagenet_classes(num_classes)))
        fusion = Fusion(content.get("fusion", Fusion.softmax))
        upright = content.get("upright", True) is True
        mean, std, size = tuple(record["mean"]), tuple(record["std"]), int(record["input_size"][-1])
        kept = {name: record[name] for name in _OF_RECORD if record.get(name) is not None}
        overlay = {**kept, "num_classes": num_classes, "state_dict": read_state(folder)}
        net: nn.Module = timm.create_model(
            content["architecture"],
            pretrained=True,
            pretrained_cfg_overlay=overlay,
            num_classes=num_classes,
            **content.get("model_args") or {},
        )
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RuntimeError) as fault:
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise ConfigError(f"{folder} is no network in timm's layout ({reason}); make it anew") from None
    vars(net)["pretrained_cfg"].pop("state_dict", None)  # timm would keep a second copy of the weights there
    student = Student(net, Preprocess(mean, std, size))
    return Trained(name=folder.name, student=student.eval(), classes=classes, crop=crop, upright=upright, fusion=fusion)
