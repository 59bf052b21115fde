"""Published weights: where they lie, and what to say when they cannot be had."""

from pathlib import Path

import torch
from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.utils import EntryNotFoundError, get_session
from timm.models import PretrainedCfg

from deit.config.errors import ConfigError

_PATIENCE = 5  # seconds for a host to answer at all; the hub's own five retries a file take most of a minute
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # names that timm gives to the files it publishes


def published_weights(name: str, card: PretrainedCfg, key: str | None) -> Path:
    """The file with the published weights of ``name``, downloaded unless it is here already.

    card: timm's record of the weights. key: what takes a file of them instead, for the message; None: nothing but the
    folder of downloads. Raises ConfigError, within seconds where there is no network, saying where a file could be put
    instead.
    """
    if not card.has_weights:
        way_out = "teacher.source=fit or " if key == "teacher.checkpoint" else ""
        possible = "another network" if key is None else f"pass {way_out}{_by_hand(card, key)}"
        raise ConfigError(f"timm publishes no weights for {name}; {possible}")
    if (here := _already_here(card)) is not None:
        return here
    try:
        return _download(card)
    except Exception as fault:  # every layer of the network has errors of its own, and any of them means the same
        reason = (str(fault).splitlines() or [""])[0] or type(fault).__name__
        way_out = _into_the_cache(card) if key is None else f"possible: a file of them; pass {_by_hand(card, key)}"
        raise ConfigError(f"the published weights of {name} could not be had ({reason}); {way_out}") from None


def _into_the_cache(card: PretrainedCfg) -> str:
    if (url := _url(card)) is not None:
        return f"put {Path(url).name} from {url} into {_torch_hub_file(url).parent}"
    return f"type hf download {card.hf_hub_id} where there is a network, and put it into {constants.HF_HUB_CACHE}"


def _by_hand(card: PretrainedCfg, key: str) -> str:
    if (url := _url(card)) is not None:
        return f"{key}=<file>, such as {Path(url).name} from {url}"
    if card.hf_hub_id:
        return f"{key}=<file>, such as {_HUB_FILES[0]} from {constants.ENDPOINT}/{card.hf_hub_id}"
    return f"{key}=<file>"


def _url(card: PretrainedCfg) -> str | None:
    return card.url if isinstance(card.url, str) and card.url else None


def _hub_files(card: PretrainedCfg) -> tuple[str, ...]:
    return (card.hf_hub_filename,) if card.hf_hub_filename else _HUB_FILES


def _torch_hub_file(url: str) -> Path:
    """Where torch.hub, hence the official code, keeps what it downloads from ``url``."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name


def _already_here(card: PretrainedCfg) -> Path | None:
    if card.hf_hub_id:
        for filename in _hub_files(card):
            cached = try_to_load_from_cache(card.hf_hub_id, filename)
            if isinstance(cached, str):
                return Path(cached)
    if (url := _url(card)) is not None and _torch_hub_file(url).is_file():
        return _torch_hub_file(url)
    return None


def _download(card: PretrainedCfg) -> Path:
    address = constants.ENDPOINT if card.hf_hub_id else _url(card)
    assert address is not None
    get_session().head(address, timeout=_PATIENCE)
    if not card.hf_hub_id:
        target = _torch_hub_file(address)
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(target), progress=False)
        return target
    for filename in _hub_files(card):
        try:
            return Path(hf_hub_download(card.hf_hub_id, filename))
        except EntryNotFoundError:
            continue
    raise FileNotFoundError(f"{card.hf_hub_id} has none of {', '.join(_hub_files(card))}")
