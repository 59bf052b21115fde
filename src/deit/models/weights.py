"""Weights of a file fitted into a student, tensor for tensor, with a report of what became of each.

Shapes: P prefix positions (class, distillation), N patch tokens, D width, K classes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from timm.layers.patch_embed import PatchEmbed
from torch import Tensor, cat, nn

from deit.config.errors import ConfigError
from deit.config.network import Resampling
from deit.config.schema import PUBLISHED
from deit.models.files import State, read_weights, save_weights
from deit.models.layouts import to_timm
from deit.models.networks import card
from deit.models.positions import Grid, resample_positions
from deit.models.published import published_weights
from deit.models.students import Student

_OF_DISTILL = ("dist_token", "head_dist.weight", "head_dist.bias")


@dataclass(frozen=True)
class LoadReport:
    """Which tensors came from the file as they were, and what became of the others."""

    loaded: tuple[str, ...] = ()
    """Taken over unchanged."""
    resampled: tuple[str, ...] = ()
    """Taken over at another resolution."""
    initialised: tuple[str, ...] = ()
    """Not in the file: derived from its class token, or left as freshly drawn."""
    dropped: tuple[str, ...] = ()
    """In the file, without a place in the student."""

    def summary(self) -> str:
        """One line for the log."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        named = {"resampled": self.resampled, "initialised": self.initialised, "dropped": self.dropped}
        parts += [f"{what}: {', '.join(names)}" for what, names in named.items() if names]
        return "; ".join(parts)


def load_student(
    student: Student, source: str | Path, *, positions: Resampling = Resampling.official, ema: bool = False
) -> LoadReport:
    """Weights of a plain or distilled transformer, of any resolution and number of classes, into ``student``.

    Position embeddings are resampled to the student's grid. A plain file gives a student with a token its class
    token's values to start from; a distilled file gives a plain student all but the token. Heads for other classes
    stay as freshly drawn.

    Args:
        source: A run's folder, a file or folder in the layout of the official code, timm, Hugging Face or our own, or
            ``timm:<name>``.
        positions: How position embeddings are resampled.
        ema: Take the averaged weights of a checkpoint that holds both.

    Raises:
        ConfigError: for everything else that does not fit; the student is then unchanged.
    """
    path = local_weights(str(source))
    found = read_weights(path, ema=ema)
    state, dropped = to_timm(found.state)
    dropped += found.dropped
    own = student.net.state_dict()
    derived: list[str] = []
    resampled: list[str] = []
    if isinstance(getattr(student.net, "patch_embed", None), PatchEmbed) and "pos_embed" in own:
        fit = _TransformerFit(student.net, path, positions)
        state = fit.tokens(state, derived, dropped)
        state = fit.grid(state, resampled)
    for name in _heads(student.net):
        if name in state and name in own and state[name].shape[0] != own[name].shape[0]:
            state = state | {name: own[name]}
            if name not in derived:
                dropped.append(name)
                derived.append(name)
    load_exactly(student.net, state, path)
    untouched = tuple(name for name in own if name not in derived and name not in resampled)
    return LoadReport(untouched, tuple(resampled), tuple(derived), tuple(dropped))


def save_student(path: str | Path, student: Student) -> None:
    """``student`` as a safetensors file in timm's layout, its inputs and number of classes beside the tensors."""
    state = student.net.state_dict()
    classes = next(state[name].shape[0] for name in _heads(student.net))
    save_weights(path, state, {"num_classes": str(classes), **student.preprocess.inputs.metadata()})


def local_weights(source: str) -> Path:
    """Return the file or folder that ``init=<source>`` is read from, downloaded where it names published weights.

    Raises:
        ConfigError: if these cannot be had.
    """
    if not source.startswith(PUBLISHED):
        return Path(source)
    name = source.removeprefix(PUBLISHED)
    return published_weights(name, card(name, f"init={PUBLISHED}"), "init")


def _heads(net: nn.Module) -> list[str]:
    """Names of the tensors with a row a class."""
    found = net.get_classifier()  # pyright: ignore[reportCallIssue] - every network of timm has it
    layers = found if isinstance(found, tuple) else (found,)
    names = [name for name, module in net.named_modules() if any(module is layer for layer in layers)]
    return [f"{name}.{part}" for name in names for part in ("weight", "bias")]


class _TransformerFit:
    """What a file's tokens and positions become in a transformer with other ones."""

    def __init__(self, net: nn.Module, path: Path, positions: Resampling) -> None:
        self.own = net.state_dict()
        assert isinstance(net.patch_embed, PatchEmbed)
        assert net.patch_embed.grid_size is not None
        self.grid_size: Grid = net.patch_embed.grid_size
        self.path = path
        self.antialias = positions is Resampling.timm

    @property
    def own_prefix(self) -> int:
        """Positions that the network has for its tokens."""
        return self.own["pos_embed"].shape[1] - math.prod(self.grid_size)

    def tokens(self, state: State, derived: list[str], dropped: list[str]) -> State:
        """The file's tensors with the network's tokens, and with as many positions for them."""
        if "pos_embed" not in state or "cls_token" not in state:
            raise ConfigError(
                f"{self.path} holds no vision transformer in timm's layout ({_some(state)});"
                " possible are DeiT files with pos_embed, cls_token, blocks.0…; pass another file or leave init out"
            )
        prefix = self._prefix(state)
        if (prefix == 0) != (self.own_prefix == 0):
            has, asked = ("no", "model=deit3_s") if prefix == 0 else ("a", "model=deit_s")
            raise ConfigError(
                f"{self.path} gives its class token {has} position, unlike this student; DeiT III and CaiT give none,"
                f" DeiT does; pass the model of its own family, such as {asked}, or another file"
            )
        state = dict(state)
        first, rest = state["pos_embed"][:, :1], state["pos_embed"]
        if "dist_token" in state and "dist_token" not in self.own:
            dropped += [name for name in _OF_DISTILL if state.pop(name, None) is not None]
            if prefix:
                state["pos_embed"] = cat((first, rest[:, 2:]), dim=1)  # class, then patches
        elif "dist_token" in self.own and "dist_token" not in state:
            state["dist_token"] = state["cls_token"].clone()
            derived.append("dist_token")
            if prefix:
                state["pos_embed"] = cat((first, rest), dim=1)  # class, its copy, patches
        if "head_dist.weight" in self.own:
            for part in ("weight", "bias"):
                if f"head_dist.{part}" not in state and f"head.{part}" in state:
                    state[f"head_dist.{part}"] = state[f"head.{part}"].clone()
                    derived.append(f"head_dist.{part}")
        for name in _heads_missing(state, self.own):
            state[name] = self.own[name]
            derived.append(name)
        return state

    def grid(self, state: State, resampled: list[str]) -> State:
        """The file's positions at the network's grid; those of another number of patches must be of a square one."""
        found = state["pos_embed"]
        if found.shape == self.own["pos_embed"].shape:
            return state
        side = math.isqrt(found.shape[1] - self.own_prefix)
        if side * side != found.shape[1] - self.own_prefix:
            raise self._no_grid(found.shape[1] - self.own_prefix)
        resampled.append("pos_embed")
        old = (side, side)
        return state | {"pos_embed": resample_positions(found, old, self.grid_size, self.own_prefix, self.antialias)}

    def _prefix(self, state: State) -> int:
        """Positions that the file has for its tokens: told by which number leaves a grid."""
        rows = state["pos_embed"].shape[1]
        for prefix in (2 if "dist_token" in state else 1, 0):
            patches = rows - prefix
            if patches == math.prod(self.grid_size) or (patches > 0 and math.isqrt(patches) ** 2 == patches):
                return prefix
        raise self._no_grid(rows - (2 if "dist_token" in state else 1))

    def _no_grid(self, patches: int) -> ConfigError:
        height, width = self.grid_size
        return ConfigError(
            f"{self.path} has positions for {patches} patches, which make no square grid; possible are square grids, or"
            f" the student's own of {height} x {width}; pass another file or leave init out"
        )


def _heads_missing(state: State, own: State) -> list[str]:
    """Heads that a file without any leaves as freshly drawn."""
    return [name for name in own if name.startswith(("head.", "head_dist.")) and name not in state]


def load_exactly(net: nn.Module, state: State, path: str | Path) -> None:
    """``state`` into ``net``, tensor for tensor. Raises ConfigError naming what is missing, foreign or of another
    shape; the network is then unchanged."""
    own = net.state_dict()
    misshapen = [
        f"{name} is {_shape(state[name])} instead of {_shape(own[name])}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    misshapen += [
        f"{name} is {tensor.dtype} instead of {own[name].dtype}"
        for name, tensor in state.items()
        if name in own and tensor.is_floating_point() != own[name].is_floating_point()
    ]
    faults = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another form": misshapen,
    }
    if any(faults.values()):
        told = "; ".join(f"{what}: {_some(names)}" for what, names in faults.items() if names)
        raise ConfigError(f"{path} does not fit the network; {told}; pass the file of a network of the same form")
    net.load_state_dict(state, strict=True)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _some(names: Mapping[str, Tensor] | list[str]) -> str:
    """The first few names and the number of the rest."""
    shown = list(names)[:4]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
