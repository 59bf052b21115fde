"""The model card: what the network is, what is known of it, how to load it."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from deit.config import ledger
from deit.config.drafts import replace_text
from deit.config.material import DataKind
from deit.config.schema import Config
from deit.export.answer import BATCHES, Answer
from deit.export.request import Format, Request
from deit.models.trained import Trained
from deit.training.teachers import label

FILE = "README.md"

_ON_THE_HUB = {
    DataKind.imagenet: "ILSVRC/imagenet-1k",
    DataKind.cifar10: "uoft-cs/cifar10",
    DataKind.cifar100: "uoft-cs/cifar100",
    DataKind.fashion_mnist: "zalando-datasets/fashion_mnist",
}
"""What the Hub calls the sets that are the same everywhere."""
_ACCURACIES = {
    "test/acc1": Markup("the answer (`logits`)"),
    "test/acc1_class": "class head",
    "test/acc1_distill": "distillation head",
    "test/acc1_fused": "both, sum of their softmax",
    "test/acc1_fused_logits": "both, mean of their logits",
}
_MARKUP = re.compile(r"[^\w .,/+()-]|(?<![^\W_])_|_(?![^\W_])")
"""Characters that may mean something to Markdown inside a line; an underscore inside a word does not."""
_LIBRARIES = {Format.safetensors: "timm", Format.onnx: "onnx", Format.torch: "pytorch"}
_OF_THE_SITE = ("hydra.", "logger", "resources", "name=", "resume=", "plan=", "trainer.devices=", "data.workers=")
"""Settings that change nothing of what is computed, and are of no use on another machine."""
_PLACE = re.compile(r"""(?<=[=\[,'"])(?:/|~|\.\.)[^,\]'"]*""")
"""A folder or file of one machine, alone or in a list."""


@dataclass(frozen=True)
class Measured:
    """What the run of a checkpoint found out about exactly these weights."""

    accuracies: dict[str, float]
    """Top-1 in percent, by head."""
    split: str
    """Which images: test, or val where a set has a single held-out split."""
    command: Markup
    """What was typed, without what belongs to one machine."""


def measured(request: Request, trained: Trained) -> Measured | None:
    """The figures of the run that ``request`` names; None where it is none, is not done, or measured other weights."""
    run = _run_of(Path(request.checkpoint))
    config = trained.config
    if run is None or config is None or request.ema not in (None, config.optim.ema_chosen):
        return None
    record = ledger.record(run)
    metrics = record.get("metrics")
    if record.get("status") != "done" or record.get("dry_run") is True or not isinstance(metrics, dict):
        return None
    accuracies = {label: float(metrics[name]) for name, label in _ACCURACIES.items() if _is_number(metrics.get(name))}
    typed = record.get("overrides")
    return Measured(
        accuracies,
        in_one_line(str(record.get("test_split", "test"))),
        _command(typed if isinstance(typed, list) else []),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def _run_of(source: Path) -> Path | None:
    """The folder of the run whose best checkpoint ``source`` is; other checkpoints are not what it measured."""
    if source.is_dir():
        return source
    return source.parent.parent if source.name == "best.ckpt" and source.parent.name == "checkpoints" else None


def _command(overrides: list[object]) -> Markup:
    kept = [_typed(str(one)) for one in overrides if not str(one).lstrip("+~").startswith(_OF_THE_SITE)]
    # In a block of code nothing is escaped, and one line cannot leave it.
    return Markup(in_one_line(" ".join(["python src/train.py", *kept])))


def in_one_line(text: str) -> str:
    """Return ``text`` without line breaks and control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def inline(text: object) -> Markup:
    """Return ``text`` for one line of Markdown, in which it shows as it is: no markup, no HTML, no link."""
    return Markup(_MARKUP.sub(lambda found: f"&#{ord(found[0])};", in_one_line(str(text))))


def _typed(override: str) -> str:
    """``data.root=<photos>`` for ``data.root=/home/me/photos``: the rest of a path is one machine's."""
    shown, places = _PLACE.subn(lambda path: f"<{Path(path[0]).name}>", override)
    return shown if places else shlex.quote(override)


def write(
    folder: Path, request: Request, trained: Trained, answer: Answer, parity: Mapping[Format, Mapping[int, float]]
) -> None:
    """The card of the formats that were written into ``folder``, each with the largest difference that was found."""
    figures = measured(request, trained)
    name = in_one_line((request.push or request.output.absolute().name).split("/")[-1])
    text = _template().render(
        header=Markup(header(name, trained, figures, list(parity)).to_yaml()),
        name=name,
        trained=trained,
        config=trained.config,
        data="" if trained.config is None else in_one_line(trained.config.data.label),
        teacher="" if trained.config is None else label(trained.config),
        figures=figures,
        formats=[str(one) for one in parity],
        two_heads=answer.student.two_heads,
        normalises=request.preprocess,
        parameters=f"{sum(parameter.numel() for parameter in answer.parameters()):,}",
        size=trained.image_size,
        resized=round(trained.image_size / trained.crop),
        source=Markup(f"hf-hub:{request.push}" if request.push else "local-dir:."),
        batches=BATCHES,
        parity={str(one): [f"{value:.1e}" for value in found.values()] for one, found in parity.items()},
    )
    replace_text(folder / FILE, text)


def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, finalize=_shown
    )
    return environment.from_string(files("deit.export").joinpath("card.md").read_text(encoding="utf-8"))


def _shown(value: object) -> object:
    """Return texts that come from others as what Markdown does not interpret; jinja calls it for each value."""
    return inline(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def header(name: str, trained: Trained, figures: Measured | None, formats: list[Format]) -> ModelCardData:
    """What the Hub reads: no licence, which is for the owner of weights and data to choose."""
    config = trained.config
    known = None if config is None else _ON_THE_HUB.get(config.data.kind)
    distilled = config is not None and config.distill.active
    return ModelCardData(
        model_name=name,
        library_name=_LIBRARIES[formats[0]],
        pipeline_tag="image-classification",
        tags=["image-classification", "deit", *(["distillation"] if distilled else []), *map(str, formats)],
        datasets=None if known is None else [known],
        eval_results=_results(config, figures),
    )


def _results(config: Config | None, figures: Measured | None) -> list[EvalResult] | None:
    if config is None or figures is None:
        return None
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type=_ON_THE_HUB.get(config.data.kind, config.data.name),
            dataset_name=in_one_line(config.data.label),
            dataset_split=figures.split,
            metric_type="accuracy",
            metric_name=f"top-1 in percent, {label}",
            metric_value=round(value, 2),
        )
        for label, value in figures.accuracies.items()
    ]
