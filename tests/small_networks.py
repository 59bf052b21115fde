"""Scales, images and a machine without a network that the tests of networks share."""

import socket
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
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


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without network and with empty caches; the folder in which torch.hub looks."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]  # closed again: nothing listens there
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder
