"""Keys: the same for ever, different for each."""

import random

import numpy as np
import torch

from deit.data.keys import Stream, depth_numbers, frozen_generator, mix, mix_arrays, seed_globals


def test_the_hash_never_changes() -> None:
    # Written down once: another value here means that every stored answer and every resumed run is wrong.
    assert mix(0) == 0xE220A8397B1DCDAF  # SplitMix64's first output for state 0
    assert mix(1, Stream.VIEW, 2, 3) == 0xC05D562FB03CF199
    assert frozen_generator(1, Stream.ORDER, 2).randint(1 << 31, size=3).tolist() == [376619044, 1816157687, 278421341]


def test_every_part_and_its_place_matter() -> None:
    keys = {
        mix(seed, stream, view, index)
        for seed in range(4)
        for stream in Stream
        for view in range(9)
        for index in range(50)
    }
    assert len(keys) == 4 * len(Stream) * 9 * 50
    assert mix(1, 2) != mix(2, 1)
    assert mix(1) != mix(1, 0)


def test_bits_are_even() -> None:
    ones = np.mean([[mix(0, i) >> bit & 1 for bit in range(64)] for i in range(4000)], axis=0)
    assert abs(ones - 0.5).max() < 0.05  # six standard errors


def test_all_generators_are_seeded() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.random()), float(torch.rand(1))

    seed_globals(7, 8)
    first = draws()
    assert draws() != first
    seed_globals(7, 8)
    assert draws() == first
    seed_globals(7, 9)
    assert all(a != b for a, b in zip(first, draws(), strict=True))


def test_arrays_are_hashed_as_numbers_are() -> None:
    views, indices = np.array([0, 7, 2**40]), np.array([3, 1_281_166, 5])
    layers = np.arange(2)[:, None]
    hashed = mix_arrays(2**63 + 5, Stream.DEPTH, views, indices, layers)
    assert hashed.tolist() == [
        [mix(2**63 + 5, Stream.DEPTH, int(v), int(i), layer) for v, i in zip(views, indices, strict=True)]
        for layer in range(2)
    ]


def test_numbers_of_stochastic_depth_are_uniform_and_belong_to_the_sample() -> None:
    views, indices = torch.arange(4000) % 3, torch.arange(4000)
    numbers = depth_numbers(1, 0, views, indices, 24)
    assert numbers.dtype == torch.float32
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert abs(numbers.mean().item() - 0.5) < 0.005  # five standard errors
    assert torch.corrcoef(numbers).sub(torch.eye(24)).abs().max() < 0.08  # layers are independent: five standard errors
    order = torch.randperm(4000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(depth_numbers(1, 0, views[order], indices[order], 24), numbers[:, order])
    for other in (depth_numbers(2, 0, views, indices, 24), depth_numbers(1, 1, views, indices, 24)):
        assert (other == numbers).float().mean() < 0.01, "another seed or epoch has other masks"
