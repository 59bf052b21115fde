"""Identity of a bank: the file that says what its answers depend on, as plain data."""

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from deit.config import drafts
from deit.config.errors import ConfigError, written

IDENTITY = "identity.json"


def claim(folder: Path, identity: Mapping[str, object]) -> None:
    """Write what the bank in ``folder`` is of, or compare it with what stands there.

    Raises:
        ConfigError: If the folder holds answers of another identity, naming what differs, or of an unknown one.
    """
    path = folder / IDENTITY
    if not path.is_file():
        if next(folder.glob("view_*"), None) is not None:
            raise ConfigError(
                f"{path} is missing, so what the answers beside it are of is not known; copy it again, or delete"
                f" {folder}, and its answers are asked for again"
            )
        draft = path.with_name(f".{uuid.uuid4().hex}{drafts.SUFFIX}")
        with written(path, "nothing was kept yet"):
            folder.mkdir(parents=True, exist_ok=True)
            drafts.remove_abandoned(folder)
            try:
                draft.write_text(json.dumps(identity, indent=2, sort_keys=True) + "\n", encoding="utf-8")
                with suppress(FileExistsError):  # of several that come at once, the first one's word stands for all
                    path.hardlink_to(draft)
            finally:
                draft.unlink(missing_ok=True)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(kept, dict)
    except (ValueError, RecursionError, AssertionError):
        raise ConfigError(
            f"{path} is no identity of a bank; copy it again, or delete {folder}, and its answers are asked for again;"
            " or pass another distill.bank_path=<folder>"
        ) from None
    asked = json.loads(json.dumps(identity))
    names = sorted(name for name in kept.keys() | asked.keys() if kept.get(name) != asked.get(name))
    if names:
        told = "; ".join(f"{name} is {asked.get(name)!s:.80}, the bank has {kept.get(name)!s:.80}" for name in names)
        raise ConfigError(
            f"the bank {folder} is not of this run: {told}; leave distill.bank_path out, or pass distill.bank=off"
        )
