"""Small files with their own checksum: a change that the program did not make is noticed when they are read.

A text bears it as a comment in its first line, a JSON object as its last field. Files of before, without one, are read
as they are. Other files of a folder have theirs in `CHECKSUMS` beside them.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from deit.config import drafts
from deit.config.errors import written

CHECKSUMS = ".checksums.json"
"""In a folder: the SHA-256 of files by their names, as they are now and as they were before the last change."""
_FIELD = "sha256"
_LINE = f"# {_FIELD}: "
_TRACE = re.compile(rf"{_FIELD}|[0-9a-f]{{32}}")  # is left of a first line in which a few bits are others


class CorruptError(ValueError):
    """File whose content is not what was written; the message names the file."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"{file.name} is damaged: it is not what was written")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace ``path`` by ``content`` so that a reader, or a crash, sees the old file or the new one.

    Raises:
        RunError: naming it, if the disk does not take it.
    """
    with written(path, "it is as it was before"):
        drafts.replace_bytes(path, content.encode() if isinstance(content, str) else content)


def write_text(path: Path, text: str) -> None:
    """Write ``text``, whose comments begin with ``#``, with its checksum, unless it is there already."""
    sealed = f"{_LINE}{_digest(text.encode())}\n{text}"
    if not path.is_file() or path.read_bytes() != sealed.encode():
        write_atomically(path, sealed)


def read_text(path: Path) -> str:
    """Return what `write_text` has written, or all of a text of before.

    Raises:
        OSError: If it cannot be read.
        CorruptError: If it is not what was written.
    """
    try:
        content = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise CorruptError(path) from None
    first, _, rest = content.partition("\n")
    if first == f"{_LINE}{_digest(rest.encode())}":
        return rest
    if not content or "\0" in content or _TRACE.search(first):
        raise CorruptError(path)
    return content


def record_text(record: Mapping[str, object]) -> str:
    """Return ``record`` as JSON with its checksum in the last field."""
    return json.dumps({**record, _FIELD: _record_digest(record)}, indent=2) + "\n"


def parse_record(text: str, path: Path) -> dict[str, object]:
    """Return the object that `record_text` made ``text``, the content of ``path``, of; or one of before.

    Raises:
        ValueError: If it is no object.
        CorruptError: If it is not what was written.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds no object")
    given = found.pop(_FIELD, None)
    if given is not None and given != _record_digest(found):
        raise CorruptError(path)
    return found


def write_listed(path: Path, content: str | bytes) -> None:
    """Replace ``path`` by ``content`` and list its checksum beside it, so that a crash leaves a file that agrees."""
    content = content.encode() if isinstance(content, str) else content
    beside = path.with_name(CHECKSUMS)
    try:
        listed = _listed(beside)
    except ValueError:
        listed = {}
    was = listed.get(path.name, [])[-1:]
    write_atomically(beside, record_text({**listed, path.name: [*was, _digest(content)]}))
    write_atomically(path, content)


def refuse_unlisted(path: Path, content: bytes) -> None:
    """Compare the ``content`` of a file with its checksum beside it, where there is one.

    Raises:
        CorruptError: If it is another one, or the list of checksums is itself corrupt.
    """
    digests = _listed(path.with_name(CHECKSUMS)).get(path.name)
    if digests is not None and _digest(content) not in digests:
        raise CorruptError(path)


def _listed(file: Path) -> dict[str, list[str]]:
    if not file.is_file():
        return {}
    try:
        found = parse_record(file.read_text(encoding="utf-8"), file)
    except (OSError, ValueError, RecursionError):
        raise CorruptError(file) from None
    return {name: digests for name, digests in found.items() if isinstance(digests, list)}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _record_digest(record: Mapping[str, object]) -> str:
    return _digest(json.dumps(record, sort_keys=True).encode())
