"""Scales and images that the tests of networks share."""

import pytest
import torch
from torch import Tensor

from deit.config.network import Model, Scale


@pytest.fixture
def paper() -> Scale:
    return Scale(name="paper", head_dim=64, depth=12, patch_size=16, image_size=224, shrink=1)


@pytest.fixture
def nano() -> Scale:
    return Scale(name="nano", head_dim=16, depth=6, patch_size=4, image_size=28, shrink=8)


@pytest.fixture
def tiny() -> Model:
    return Model(name="deit_ti", heads=3)


@pytest.fixture
def images() -> Tensor:
    """Two images of 28 pixels a side in [0, 1]."""
    return torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
