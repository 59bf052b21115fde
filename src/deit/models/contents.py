"""The network in the content of a weights file: its tensors by their bare names, without what lies beside them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from deit.config.errors import ConfigError
from deit.models.tensors import State, refuse_special
from deit.models.torch_files import AVERAGES, CONTAINERS, saved

STUDENT, AVERAGE = "student.net.", "average.module.net."
"""Where our Lightning checkpoints keep the student, and the exponential moving average of its weights."""

_RAW_OF_LIGHTNING = "current_model_state"  # beside its WeightAveraging's average, which it keeps as state_dict
_COMPILERS = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_WRAPPERS = ("module.", "model.", "network.", "student.", "net.", "backbone.", "encoder.")
# The first weights of a transformer, in timm's layout and in Hugging Face's.
_ANCHOR = re.compile(
    r"^((?:.*?\.)??)(?:patch_embed\.proj|(?:(?:deit|vit)\.)?embeddings\.patch_embeddings\.projection)\.weight$"
)
_IS_AVERAGE = re.compile(r"(?:^|[._])(?:ema|averaged?|swa)(?:$|[._])|_ema\b")
_IS_TEACHER = re.compile(r"teacher|momentum|target")
_COMPANION = re.compile(  # of a network within a larger module: its loss, its metrics, its teacher
    r"^(?:criterion|loss\w*|\w+_loss|metrics?|\w+_metrics?|acc\w*|\w+_acc\w*|(?:train|val|valid|test)_\w+|f1\w*|auroc"
    r"|confusion\w*|teacher\w*|ema\w*|\w+_ema|mixup\w*|n_averaged)(?:\.|$)"
)


class Found(NamedTuple):
    """The tensors of one network."""

    state: State
    """By their names without the prefixes of wrappers."""
    dropped: tuple[str, ...]
    """What lay beside them: names, or the beginnings that several have."""
    has_average: bool
    """Whether raw weights and their exponential moving average are both there."""


def find_network(content: object, path: Path, *, ema: bool) -> Found | None:
    """Return the weights of the network in ``content``; ema: their moving average, of which None says there is none.

    Raises:
        ConfigError: naming the file, if it holds no weights, or several networks none of which is the student.
    """
    raw, average = _containers(content)
    chosen = average if ema and average is not None else raw if raw is not None else average
    if chosen is None:
        raise ConfigError(f"{path} holds no weights{_keys(content)}; pass a file that holds tensors by name")
    state = {_COMPILERS.sub("", str(name)): tensor for name, tensor in chosen.items() if isinstance(tensor, Tensor)}
    refuse_special(state, path)
    if any(name.startswith(STUDENT) for name in state):
        return _of_ours(state, ema=ema)
    roots = _roots(state)
    averaged = [root for root in roots if _IS_AVERAGE.search(root)]
    others = [root for root in roots if root not in averaged]
    if ema and average is None and not averaged:
        return None
    candidates = _students(averaged if averaged and ema else others or averaged)
    if all(map(_IS_TEACHER.search, candidates)) and _without_companions(_outside(state, roots)):
        candidates = []  # a student of another kind than its teacher
    if different := _other_networks(candidates, state):
        raise _several(candidates[0], different, path, _address(content, chosen))
    if candidates:
        prefix, bare = candidates[0], _without_companions(_below(state, candidates[0], roots))
    else:
        prefix, bare = _unwrapped(state)
    dropped = [name for name in state if not (name.startswith(prefix) and name.removeprefix(prefix) in bare)]
    has_average = (raw is not None and average is not None) or bool(averaged and others)
    return Found(bare, tuple(_summary(dropped)), has_average)


def _containers(content: object) -> tuple[Mapping[str, object] | None, Mapping[str, object] | None]:
    """The mappings of raw and of averaged weights in the content of a file."""
    if not isinstance(content, Mapping):
        return None, None
    if _holds_tensors(content.get(_RAW_OF_LIGHTNING)) and _holds_tensors(content.get("state_dict")):
        return content[_RAW_OF_LIGHTNING], content["state_dict"]
    raw = next((found for key in CONTAINERS if (found := _weights(content.get(key))) is not None), None)
    average = next((found for key in AVERAGES if (found := _weights(content.get(key))) is not None), None)
    if raw is None and _holds_tensors(content):
        raw = content
    if raw is None and average is None:  # under a key of its own, if only one holds tensors
        under = [value for value in content.values() if _holds_tensors(value)]
        raw = under[0] if len(under) == 1 else None
    return raw, average


def _weights(content: object) -> Mapping[str, object] | None:
    """``content`` if it holds tensors, or what it keeps them under."""
    if not isinstance(content, Mapping):
        return None
    nested = (content.get(key) for key in CONTAINERS)
    inner = next((one for one in nested if _holds_tensors(one)), None)
    return inner if isinstance(inner, Mapping) else content if _holds_tensors(content) else None


def _holds_tensors(content: object) -> bool:
    return isinstance(content, Mapping) and any(isinstance(value, Tensor) for value in content.values())


def _keys(content: object) -> str:
    if not isinstance(content, Mapping) or not content:
        return ""
    return f" under one of {', '.join(CONTAINERS[:3])}; its keys are {', '.join(map(str, list(content)[:6]))}"


def _of_ours(state: State, *, ema: bool) -> Found | None:
    has_average = any(name.startswith(AVERAGE) for name in state)
    if ema and not has_average:
        return None
    part = AVERAGE if ema else STUDENT
    bare = {name.removeprefix(part): tensor for name, tensor in state.items() if name.startswith(part)}
    return Found(bare, (), has_average)


def _roots(state: Iterable[str]) -> list[str]:
    """The prefixes below which a transformer begins."""
    return [match[1] for name in state if (match := _ANCHOR.match(name))]


def _students(roots: Sequence[str]) -> list[str]:
    """Of the networks that begin with ``roots`` those that are meant: students, or none that teaches."""
    students = [root for root in roots if "student" in root] or [r for r in roots if not _IS_TEACHER.search(r)]
    return students or list(roots)


def _other_networks(roots: Sequence[str], state: State) -> list[str]:
    """The roots of networks with other tensors than the first one's: a module may stand in a larger one twice."""
    first = {tensor.data_ptr() for name, tensor in state.items() if roots and name.startswith(roots[0])}
    return [r for r in roots if not all(t.data_ptr() in first for n, t in state.items() if n.startswith(r))]


def _several(root: str, others: Sequence[str], path: Path, address: str) -> ConfigError:
    names = ", ".join(one or "no prefix" for one in [root, *others])
    kept = f"{{name: tensor for name, tensor in {address}.items() if name.startswith({others[0]!r})}}"
    return ConfigError(
        f"{path} holds several networks, whose names begin with {names}; keep one of them, such as the second:"
        f" {saved(kept.replace('FILE', repr(str(path))), path)}"
    )


def _address(content: object, chosen: object) -> str:
    """The expression in Python by which ``chosen`` is reached in the file."""
    opened = "torch.load(FILE, map_location='cpu', weights_only=True)"
    if chosen is content or not isinstance(content, Mapping):
        return opened
    for key, value in content.items():
        if value is chosen:
            return f"{opened}[{key!r}]"
        if isinstance(value, Mapping) and (inner := next((k for k, v in value.items() if v is chosen), None)):
            return f"{opened}[{key!r}][{inner!r}]"
    return opened


def _below(state: State, root: str, roots: Sequence[str]) -> State:
    """What begins with ``root`` and with no longer one, without it."""
    longer = tuple(one for one in roots if one != root and one.startswith(root))
    return {
        name.removeprefix(root): tensor
        for name, tensor in state.items()
        if name.startswith(root) and not (longer and name.startswith(longer))
    }


def _outside(state: State, roots: Sequence[str]) -> State:
    return {name: tensor for name, tensor in state.items() if not name.startswith(tuple(roots))}


def _without_companions(state: State) -> State:
    return {name: tensor for name, tensor in state.items() if not _COMPANION.match(name)}


def _unwrapped(state: State) -> tuple[str, State]:
    """The prefix that wrappers have put before a network of another kind, and its tensors without it."""
    before = ""
    while True:
        if (prefix := next((p for p in _WRAPPERS if all(name.startswith(p) for name in state)), None)) is None:
            bare = _without_companions(state)
            inside = [p for p in _WRAPPERS if any(n.startswith(p) and not n[len(p)].isdigit() for n in bare)]
            if len(inside) != 1 or inside == ["encoder."]:
                return before, bare
            prefix = inside[0]
        before += prefix
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _summary(names: Sequence[str]) -> list[str]:
    """Names of single tensors, and the beginnings of many."""
    by_module: dict[str, list[str]] = {}
    for name in names:
        by_module.setdefault(name.partition(".")[0], []).append(name)
    return [
        text
        for module, group in by_module.items()
        for text in (group if len(group) < 4 else [f"{module}.* ({len(group)} tensors)"])
    ]
