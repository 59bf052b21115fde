"""The folder of an export: written whole or not at all, and never over what somebody else has put there."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deit.config.drafts import replace_text
from deit.config.errors import written

RECORD = "export.json"
"""What an export says of itself; a folder without it is none of ours."""
SCHEMA = 1


OF_FILES = (".onnx", ".pt2", ".pt", ".pth", ".safetensors", ".ckpt", ".bin", ".zip")
"""Suffixes of what is no folder."""


def problems(output: Path, *, overwrite: bool = False) -> Iterator[str]:
    """Yield why an export cannot take the place of what is at ``output``.

    overwrite: whether an earlier export gives way; only one in which nobody has changed a file does.
    """
    another = f"pass another output=<folder>, or move {output} away"
    if output.exists() and not output.is_dir():
        yield f"output={output} is a file; pass output=<folder>"
    elif output.suffix.lower() in OF_FILES:
        yield f"output must be a folder, got {output}, a file's name. Pass output={output.with_suffix('')}."
    elif output.is_dir() and any(output.iterdir()):
        digests = _recorded(output)
        if digests is None:
            yield f"output={output} holds files that are no earlier export; {another}"
            return
        found = {path.relative_to(output).as_posix() for path in output.rglob("*") if not path.is_dir()} - {RECORD}
        changed = sorted(name for name in found if name not in digests or digests[name] != _digest(output / name))
        if changed:
            told = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
            yield f"output={output} is an earlier export in which {told} changed since, and would be lost; {another}"
        elif not overwrite:
            yield f"output must be a new folder, got {output}, an earlier export. Pass overwrite=true or another."


def _recorded(output: Path) -> Mapping[str, str] | None:
    """Digests of the files of an earlier export by name; None where there is none."""
    try:
        record = json.loads((output / RECORD).read_text(encoding="utf-8"))
        files = record["files"] if record["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return files if isinstance(files, dict) else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_json(path: Path, content: object) -> None:
    """``content`` as JSON that a person can read."""
    replace_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def whole(output: Path) -> Iterator[Path]:
    """A folder to write into, which becomes ``output`` at the end; if that is not reached, nothing is left of it.

    Raises:
        RunError: if the disk does not take it.
    """
    output = output.absolute()
    draft = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    with written(output, "what was there is as it was"):
        draft.mkdir(parents=True)
        try:
            yield draft
            _replace(output, draft)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def seal(draft: Path, record: Mapping[str, object]) -> None:
    """Write ``record`` with the digests of all files beside it, by which a later export knows its own."""
    digests = {path.name: _digest(path) for path in sorted(draft.iterdir())}
    write_json(draft / RECORD, {"schema": SCHEMA, **record, "files": digests})
    for name in digests:
        shutil.copymode(draft / RECORD, draft / name)  # safetensors makes files that no one else may read


def _replace(output: Path, draft: Path) -> None:
    """Put ``draft`` in the place of ``output``, which a folder with files does not give up in one step."""
    if not output.exists():
        draft.rename(output)
        return
    old = draft.with_suffix(".old")
    output.rename(old)
    try:
        draft.rename(output)
    except OSError:
        old.rename(output)
        raise
    shutil.rmtree(old, ignore_errors=True)
