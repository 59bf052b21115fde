"""The line that is printed for a file that needs code to be read makes one of it that is read."""

from argparse import Namespace
from pathlib import Path, PosixPath

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from deit.config.errors import ConfigError
from deit.models.files import read_state

SHAPE = {"img_size": 16, "patch_size": 8, "embed_dim": 64, "depth": 1, "num_heads": 1, "num_classes": 3}
NET = VisionTransformer(**SHAPE)
STATE = NET.state_dict()


class Settings:
    """An object of a training script."""


REFUSED: dict[str, object] = {
    "Lightning with OmegaConf": {
        "state_dict": {f"model.{name}": tensor for name, tensor in STATE.items()},
        "hyper_parameters": OmegaConf.create({"lr": 1}),
    },
    "official with an object": {"model": STATE, "args": Settings()},
    "tutorial's": {"model_state_dict": STATE, "scheduler": Settings(), "epoch": 3},
    "whole module": NET,
    "module in a checkpoint": {"model": NET, "epoch": 3},
    "wrapped module": nn.DataParallel(NET),
    "with an average": {"state_dict": STATE, "state_dict_ema": STATE, "args": Settings()},
    "an object among the tensors": {**STATE, "settings": Settings()},
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.filterwarnings("ignore::torch.serialization.SourceChangeWarning")
def test_the_printed_line_converts_the_file(kind: str, zipped: bool, tmp_path: Path) -> None:
    file = tmp_path / "it's theirs.ckpt"
    torch.save(REFUSED[kind], file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ConfigError, match="reading it could run code") as refusal:
        read_state(file)
    exec("torch.save(" + str(refusal.value).partition("torch.save(")[2], {"torch": torch})
    converted = tmp_path / "it's theirs-tensors.pth"
    assert all(torch.equal(tensor, STATE[name]) for name, tensor in read_state(converted).items())
    assert read_state(converted).keys() == STATE.keys()
    if kind == "with an average":
        assert read_state(converted, ema=True).keys() == STATE.keys()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_converted_too(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 3))
    torch.jit.script(net).save(str(tmp_path / "scripted.pt"))
    with pytest.raises(ConfigError, match=r"scripted\.pt is TorchScript, a program with weights in it") as refusal:
        read_state(tmp_path / "scripted.pt")
    exec("torch.save(" + str(refusal.value).partition("torch.save(")[2], {"torch": torch})
    assert read_state(tmp_path / "scripted-tensors.pth").keys() == net.state_dict().keys()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "beside",
    [
        {"args": Namespace(output_dir=PosixPath("/x"), lr=1.0)},
        {"best_acc1": np.float64(71.2), "history": np.arange(3.0), "steps": np.int64(3)},
    ],
    ids=["paths", "numbers of NumPy"],
)
def test_data_of_a_training_script_are_no_code(beside: dict, zipped: bool, tmp_path: Path) -> None:
    torch.save({"state_dict": STATE, **beside}, tmp_path / "a.pth.tar", _use_new_zipfile_serialization=zipped)
    assert read_state(tmp_path / "a.pth.tar").keys() == STATE.keys()


def test_a_file_that_is_kept_elsewhere_says_how_to_get_it(tmp_path: Path) -> None:
    for name in ("a.safetensors", "a.bin"):
        (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 22883644\n")
        with pytest.raises(
            ConfigError, match=rf"{name} is a pointer of Git LFS and holds no weights; type git lfs pull"
        ):
            read_state(tmp_path / name)
