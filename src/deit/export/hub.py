"""An exported folder on the Hugging Face Hub, where it is put only when asked. Imports no torch."""

import re
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import HfApi, constants, get_token

from deit.config.errors import RunError

CARD = "README.md"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]{1,96}", re.ASCII)


def problems(repository: str) -> Iterator[str]:
    """Yield what stands in the way of a push to ``repository``; asks no network."""
    if not _REPOSITORY.fullmatch(repository):
        yield f"push={repository} is no repository; possible: <user or organisation>/<name>; pass push=<user>/<name>"
    if constants.HF_HUB_OFFLINE:
        yield f"push={repository} needs the network, and HF_HUB_OFFLINE is set; type unset HF_HUB_OFFLINE"
    if get_token() is None:
        yield (
            f"push={repository} needs a token that may write; type hf auth login, or export HF_TOKEN=<token from"
            f" {constants.ENDPOINT}/settings/tokens>"
        )


def push(folder: Path, repository: str, *, private: bool) -> str:
    """Upload ``folder``; returns one line that says where it is and who may see it.

    A repository that exists keeps its visibility and its card, which people edit there.

    Raises:
        RunError: if the Hub does not take it.
    """
    api = HfApi()
    try:
        address = api.create_repo(repository, private=private, exist_ok=True)
        has_card = api.file_exists(repository, CARD)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            commit_message="Export a network",
            ignore_patterns=[CARD] if has_card else None,
        )
        seen = "private" if api.model_info(repository).private else "public"
    except Exception as fault:  # of the Hub, of the network, of the token: each layer has its own
        reason = (str(fault).splitlines() or [""])[0] or type(fault).__name__
        raise RunError(
            f"{repository} was not pushed ({reason}); {folder} is complete: start again with overwrite=true to push it"
        ) from fault
    return f"pushed to {address} ({seen}{'; its own card was kept' if has_card else ''})"
