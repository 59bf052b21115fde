"""The network as an ONNX file that any runtime can run, for any number of images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.onnx import ONNXProgram

from deit.config.errors import ConfigError
from deit.export.answer import INPUT, Answer, Ask, differences, refuse_another

FILE = "model.onnx"


def save(program: ExportedProgram, answer: Answer, folder: Path, facts: Mapping[str, str]) -> dict[int, float]:
    """Write ``program`` as ONNX, run it, and compare it with ``answer``: the largest difference by batch size.

    facts: kept in the file's metadata. Weights of more than 2 GB lie beside it in model.onnx.data.

    Raises:
        ConfigError: for a network with operations that ONNX has not.
        RunError: if it answers otherwise.
        OSError: if the disk does not take it.
    """
    path = folder / FILE
    made = _converted(program, answer.outputs)
    made.model.metadata_props.update(facts)
    for node in made.model.graph:
        node.metadata_props.clear()  # where in this machine's files each operation came from
    made.save(path, external_data=False)
    found = differences(_runtime(path, answer.outputs), answer)
    refuse_another(found, path.name)
    return found


def _converted(program: ExportedProgram, outputs: Sequence[str]) -> ONNXProgram:
    try:
        made = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_shapes=({0: "batch"},),
            verbose=False,
        )
    except Exception as fault:  # of several libraries, for networks of any code
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise ConfigError(f"ONNX cannot express this network ({reason}); pass format=torch") from None
    assert made is not None, "torch.onnx.export returns a program where it is given no file"
    return made


def _runtime(path: Path, outputs: Sequence[str]) -> Ask:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def ask(images: Tensor) -> list[Tensor]:
        return [torch.from_numpy(one) for one in session.run(list(outputs), {INPUT: images.numpy()})]

    return ask
