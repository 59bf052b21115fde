"""timm's networks by name: their record, and what builds them."""

from collections.abc import Callable
from functools import partial

import timm
from timm.models import PretrainedCfg
from torch import nn

from deit.config.errors import ConfigError, nearest


def card(name: str, key: str) -> PretrainedCfg:
    """timm's record of the weights called ``name``: their size, statistics, classes and whereabouts.

    key: what the user set to ``name``, for the message. Raises ConfigError for names that timm does not know.
    """
    variant, _, tag = name.partition(".")
    if not timm.is_model(variant):
        guess = nearest(variant, timm.list_models())
        hint = "" if guess is None else f"; pass {key}={guess}"
        raise ConfigError(f"timm has no network called {variant}; possible: names from timm.list_models(){hint}")
    names = timm.list_models(f"{variant}.*", include_tags=True) if tag else []
    if tag and name not in names:
        guess = nearest(name, names) or variant
        raise ConfigError(
            f"{variant} has no weights called {tag}; possible: {', '.join(names) or variant}; pass {key}={guess}"
        )
    found = timm.get_pretrained_cfg(name)
    assert found is not None, f"timm registers {variant} without a record"
    return found


def form(name: str, record: PretrainedCfg, image_size: int | None) -> Callable[..., nn.Module]:
    """timm.create_model for ``name``; networks bound to a size, as by position embeddings, are told theirs."""
    if record.fixed_input_size and image_size is not None:
        return partial(timm.create_model, name, img_size=image_size)
    return partial(timm.create_model, name)


def classifiers(record: PretrainedCfg) -> tuple[str, ...]:
    """Names of the layers whose rows are the classes."""
    if record.classifier is None:
        return ()
    return (record.classifier,) if isinstance(record.classifier, str) else tuple(record.classifier)
