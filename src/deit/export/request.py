"""What is asked of src/export.py. Imports no torch."""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deit.config import checkpoint_source, words
from deit.config.errors import ConfigError
from deit.config.preflight import refuse
from deit.config.values import Choice
from deit.export import folder, hub

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What writes and runs an ONNX file; pyproject.toml names them as the extra `export`."""

EXAMPLES = {
    "checkpoint": "logs/runs/<run>",
    "output": "exports/<name>",
    "format": "onnx",
    "ema": "true",
    "preprocess": "true",
    "push": "<user>/<name>",
    "private": "false",
    "overwrite": "true",
}


class Format(Choice):
    """What is written."""

    safetensors = "safetensors"
    """A folder in timm's layout, which is one of the Hugging Face Hub too."""
    onnx = "onnx"
    torch = "torch"
    """A program of torch.export, which runs without the network's code."""
    all = "all"
    """Every one that the network can have."""

    @property
    def parts(self) -> tuple["Format", ...]:
        """The formats one by one."""
        return tuple(one for one in Format if one is not Format.all) if self is Format.all else (self,)


@dataclass(kw_only=True)
class Request:
    """What to export, as what, and where to."""

    checkpoint: str
    """A run's folder, a weights file, an exported folder or timm:<name>."""
    output: Path
    """Folder, made whole or not at all."""
    format: Format = Format.safetensors
    ema: bool | None = None
    """The averaged weights or the raw ones; None: those that the run chose."""
    preprocess: bool = False
    """Whether ONNX and torch.export take pixels in [0, 1] and normalise them themselves."""
    push: str | None = None
    """Repository on the Hugging Face Hub, <user>/<name>; None: nothing leaves the machine."""
    private: bool | None = None
    """Whether a repository that is made anew is; None: it is."""
    overwrite: bool = False
    """Whether an earlier export at ``output`` is replaced."""


def taken(arguments: Sequence[str], usage: str | None) -> Request:
    """The request of the command line; a wrong one ends the program before torch is imported."""
    request = words.taken(Request, arguments, usage, EXAMPLES)
    if found := [*checkpoint_source.problems(request.checkpoint), *problems(request)]:
        refuse(str(ConfigError.of(found)))
    return request


def problems(request: Request) -> Iterator[str]:
    """Yield what stands in the way of ``request``, whatever its network is."""
    if Format.onnx in request.format.parts and (missing := _missing(ONNX_PACKAGES)):
        yield f"format={request.format} needs {', '.join(missing)}; type pip install {' '.join(missing)}"
    if request.preprocess and request.format is Format.safetensors:
        yield (
            "preprocess=true puts the normalisation into ONNX and torch.export, and format=safetensors holds weights"
            " alone; pass format=onnx, or leave preprocess out"
        )
    if request.push is not None:
        yield from hub.problems(request.push)
    elif request.private is not None:
        yield "private says who sees what is pushed, and nothing is; pass push=<user>/<name>, or leave private out"
    yield from folder.problems(request.output, overwrite=request.overwrite)


def _missing(packages: Sequence[str]) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]
