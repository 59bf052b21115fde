"""Photographs become answers, batch by batch. Shapes: B batch, S side of a view, K classes, h x w patches."""

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from PIL import Image
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from deit.config.errors import ConfigError
from deit.config.material import Data
from deit.data.sources import ImageError
from deit.data.views import EvalView, Place
from deit.evaluation.attention import attention_maps, has_attention_maps, recorded_attention
from deit.evaluation.heads import probabilities
from deit.models.class_names import readable
from deit.models.trained import Trained
from deit.prediction.overlays import reduced
from deit.prediction.photographs import Photograph
from deit.prediction.teaching import Teaching

HEADS = {"class": "class head", "distill": "distillation head", "fused": "both heads, fused", "teacher": "teacher"}
"""What a person calls the heads."""
MOST_DECODERS = 8  # threads: beyond, files are not read any faster


@dataclass(frozen=True)
class Guess:
    """One class that a head holds probable."""

    index: int
    label: str
    """The class as the data call it."""
    probability: float

    @property
    def name(self) -> str:
        """The class as a person calls it."""
        return readable(self.label)


@dataclass(frozen=True)
class Look:
    """Where a network looked."""

    photo: Image.Image
    """At the size at which it is shown."""
    place: Place
    """Of the network's view in it."""
    maps: dict[str, Tensor]
    """(h, w) attention by the name of the map."""


@dataclass(frozen=True)
class Answer:
    """What is said of one photograph."""

    image: str
    heads: dict[str, list[Guess]]
    """Most probable first, by head: ``class``, and where there are such ``distill``, ``fused`` and ``teacher``."""
    look: Look | None = None
    """None where nobody asked for it."""
    lies: bool = False
    """Whether it was not seen upright, because photographs are taken as they are stored."""


class _Seen(NamedTuple):
    """A photograph as it goes to the network."""

    name: str
    view: Tensor
    """(3, S, S) uint8"""
    place: Place
    photo: Image.Image | None
    """None where nobody asked where the network looks."""
    lies: bool
    """Whether it is not upright."""


class Answering:
    """Who answers about photographs, and how.

    Args:
        trained: The network.
        teaching: Whose answers stand beside the network's.
        device: Where the network is moved to; the teacher is there.
        top: How many classes of each head.
        upright: Whether photographs are turned as their EXIF orientation says; None: as the network's training did.
        attention: Whether to say where the network looks, too.

    Raises:
        ConfigError: where the network has no attention to show.
    """

    def __init__(
        self,
        trained: Trained,
        teaching: Teaching | None = None,
        *,
        device: torch.device,
        top: int,
        upright: bool | None = None,
        attention: bool = False,
    ) -> None:
        net = trained.student.net
        if attention and not has_attention_maps(net):
            raise ConfigError(
                f"attention=true needs a transformer whose class token looks at the patches in every block, and"
                f" {trained.name} is a {type(net).__name__}; leave attention out"
            )
        data = Data() if trained.config is None else trained.config.data
        self.view = EvalView(data, image_size=trained.image_size, crop=trained.crop)
        self.student = trained.student.to(device)
        self.trained, self.teaching, self.device = trained, teaching, device
        self.upright = trained.upright if upright is None else upright
        self.top, self.attention = top, attention

    def about(self, photographs: Sequence[Photograph], batch: int) -> Iterator[list[Answer | ImageError]]:
        """What is said of the photographs, in their order and ``batch`` at a time, or why one cannot be seen.

        The photographs of the next batch are decoded meanwhile.
        """
        waiting: deque[list[Future[_Seen | ImageError]]] = deque()
        with ThreadPoolExecutor(min(MOST_DECODERS, os.cpu_count() or 1)) as pool:
            for begin in range(0, len(photographs), batch):
                waiting.append([pool.submit(self._see, one) for one in photographs[begin : begin + batch]])
                if len(waiting) > 1:
                    yield self._answers([future.result() for future in waiting.popleft()])
            yield from (self._answers([future.result() for future in futures]) for futures in waiting)

    def _see(self, photograph: Photograph) -> _Seen | ImageError:
        try:
            pixels = photograph.pixels(upright=self.upright)
        except ImageError as error:
            return error
        photo = reduced(Image.fromarray(pixels)) if self.attention else None
        lies = not self.upright and photograph.is_turned
        return _Seen(photograph.name, self.view.of_pixels(pixels), self.view.place(*pixels.shape[:2]), photo, lies)

    def _answers(self, results: Sequence[_Seen | ImageError]) -> list[Answer | ImageError]:
        seen = [result for result in results if isinstance(result, _Seen)]
        asked = iter(self._ask(seen) if seen else [])
        return [next(asked) if isinstance(result, _Seen) else result for result in results]

    @torch.inference_mode()
    def _ask(self, seen: Sequence[_Seen]) -> Iterator[Answer]:
        images = torch.stack([one.view for one in seen]).to(self.device).float() / 255
        net = cast(VisionTransformer, self.student.net)
        with recorded_attention(net) if self.attention else contextlib.nullcontext([]) as layers:
            logits = self.student(images)
        answered = probabilities(logits.classes, logits.distill, self.trained.fusion)
        heads = {head: guesses(held, self.trained.classes, self.top) for head, held in answered.items()}
        if self.teaching is not None:
            heads["teacher"] = guesses(self.teaching.answer(images), self.teaching.classes, self.top)
        maps = {name: rows.cpu() for name, rows in attention_maps(layers, net).items()} if self.attention else {}
        for row, one in enumerate(seen):
            looks = {name: rows[row] for name, rows in maps.items()}
            look = None if one.photo is None else Look(one.photo, one.place, looks)
            yield Answer(one.name, {head: held[row] for head, held in heads.items()}, look, one.lies)


def guesses(held: Tensor, classes: Sequence[str], top: int) -> list[list[Guess]]:
    """The ``top`` classes of each row of (B, K) probabilities, or as many as there are, most probable first."""
    best = held.topk(min(top, held.shape[-1]), dim=-1)
    return [
        [Guess(int(i), classes[int(i)], value) for value, i in zip(values, indices, strict=True)]
        for values, indices in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
