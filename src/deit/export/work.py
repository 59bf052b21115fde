"""What src/export.py does: read the network, write each format and compare it, put the folder in place, push it."""

import json
import logging
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from deit.config.command_line import INTERRUPTED
from deit.config.errors import ConfigError, RunError, printable
from deit.config.preflight import refuse
from deit.export import card, hub, program, timm_folder
from deit.export.answer import INPUT, Answer, said
from deit.export.folder import seal, whole, write_json
from deit.export.request import Format, Request
from deit.export.timm_folder import Form
from deit.models.class_names import readable
from deit.models.trained import Trained, read_trained

LABELS = "labels.json"
VERSIONS = ("torch", "timm")
CONSOLE = Console(highlight=False, soft_wrap=True, markup=False)


def work(request: Request) -> None:
    """Export as ``request`` says; a mistake ends the program with one message and status 2, a fault with 1."""
    try:
        export(request)
    except ConfigError as error:
        refuse(str(error))
    except RunError as error:
        sys.stderr.write(f"{printable(error)}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def export(request: Request) -> None:
    """The same, raising ConfigError and RunError."""
    for chatty in ("torch.onnx", "torch.export", "onnxscript"):
        logging.getLogger(chatty).setLevel(logging.ERROR)  # what they would change in their own results
    trained = read_trained(request.checkpoint, ema=request.ema)
    formats, form = possible(trained, request.format)
    answer = Answer(trained, preprocess=request.preprocess)
    facts = described(trained, answer)
    with whole(request.output) as draft:
        parity = write_formats(formats, trained, form, answer, facts, draft)
        write_json(draft / LABELS, facts["labels"])
        card.write(draft, request, trained, answer, parity)
        found = {str(one): {f"batch {size}": value for size, value in of.items()} for one, of in parity.items()}
        seal(draft, {**facts, "parity": found, "versions": {name: version(name) for name in VERSIONS}})
    CONSOLE.print(f"in {request.output}")
    if request.push is not None:
        with CONSOLE.status(f"pushing to {request.push}"):
            told = hub.push(request.output, request.push, private=request.private is not False)
        CONSOLE.print(told)


def possible(trained: Trained, asked: Format) -> tuple[list[Format], Form | None]:
    """Of the formats asked for those that the network can have, and how timm builds it.

    Raises:
        ConfigError: if timm cannot, and its layout was asked for by name; of all, it is left out and said so.
    """
    formats = list(asked.parts)
    if Format.safetensors not in formats:
        return formats, None
    try:
        return formats, timm_folder.form_of(trained)
    except ConfigError as error:
        if asked is Format.safetensors:
            raise
        CONSOLE.print(f"safetensors: left out: {error}")
        return [one for one in formats if one is not Format.safetensors], None


def described(trained: Trained, answer: Answer) -> dict[str, object]:
    """What goes with every file of the network: what it takes, what it returns, what its classes are."""
    values = "pixels in [0, 1]" if answer.preprocess else "pixels in [0, 1], minus mean, divided by std"
    return {
        "name": trained.name,
        "input": f"{INPUT}: float32 (batch, 3, {answer.image_size}, {answer.image_size}), {values}",
        "outputs": list(answer.outputs),
        "mean": list(trained.inputs.mean),
        "std": list(trained.inputs.std),
        "crop": trained.crop,
        "classes": list(trained.classes),
        "labels": [readable(name) for name in trained.classes],
    }


def write_formats(
    formats: list[Format],
    trained: Trained,
    form: Form | None,
    answer: Answer,
    facts: Mapping[str, object],
    folder: Path,
) -> dict[Format, dict[int, float]]:
    """Write each format, say what came of it, and return how far it is from the network, by batch size."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
    parity: dict[Format, dict[int, float]] = {}
    if form is not None:
        parity[Format.safetensors] = timm_folder.save(trained, form, answer, folder)
        _tell(Format.safetensors, f"timm's {form.architecture}", parity)
    if {Format.onnx, Format.torch} & set(formats):
        with CONSOLE.status("following the network through torch.export"):
            traced = program.traced(answer)
        if Format.torch in formats:
            parity[Format.torch] = program.save(traced, answer, folder, texts)
            _tell(Format.torch, program.FILE, parity)
        if Format.onnx in formats:
            from deit.export import onnx_file  # needs packages that are optional

            with CONSOLE.status("writing and running ONNX"):
                parity[Format.onnx] = onnx_file.save(traced, answer, folder, texts)
            _tell(Format.onnx, onnx_file.FILE, parity)
    return parity


def _tell(what: Format, made: str, parity: Mapping[Format, dict[int, float]]) -> None:
    CONSOLE.print(f"{what}: {made}; logits differ from the network's by {said(parity[what])}")
