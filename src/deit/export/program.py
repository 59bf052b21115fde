"""The network as a program of torch.export: what the .pt2 file holds, and what ONNX is made from."""

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch.export import Dim, ExportedProgram

from deit.config.drafts import replace_bytes
from deit.config.errors import ConfigError
from deit.export.answer import INPUT, Answer, differences, refuse_another

FILE = "model.pt2"


def traced(answer: Answer) -> ExportedProgram:
    """The operations of ``answer`` for any number of images.

    Raises:
        ConfigError: for a network that does different things for different images.
    """
    images = torch.zeros(2, 3, answer.image_size, answer.image_size)  # 2, for torch.export takes a 1 for a constant
    try:
        program = torch.export.export(answer, (images,), dynamic_shapes={INPUT: {0: Dim("batch")}}, strict=False)
    except Exception as fault:  # of any depth of torch, for networks of any code
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise ConfigError(f"torch.export cannot follow this network ({reason}); pass format=safetensors") from None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine, which would go out with the file
    return program


def save(program: ExportedProgram, answer: Answer, folder: Path, facts: Mapping[str, str]) -> dict[int, float]:
    """Write ``program``, read it back, and compare it with ``answer``: the largest difference by batch size.

    facts: kept beside it, as extra files.

    Raises:
        RunError: if it answers otherwise.
        OSError: if the disk does not take it.
    """
    path = folder / FILE
    buffer = io.BytesIO()  # on a full disk torch's own writer would end the process
    torch.export.save(program, buffer, extra_files=dict(facts))
    replace_bytes(path, buffer.getbuffer())
    found = differences(torch.export.load(path).module(), answer)
    refuse_another(found, path.name)
    return found
