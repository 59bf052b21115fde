"""Files whose pickles run code are refused, whatever they call themselves, and nothing in them runs."""

import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from deit.config.errors import ConfigError
from deit.models.files import read_state, read_torch
from deit.models.preprocess import Inputs

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


def legacy_tar(path: Path, payload: Payload) -> None:
    """As torch wrote its files before 0.1.10."""
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "storages", "tensors", "pickle"):
            content = pickle.dumps(payload)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def objects(payload: Payload) -> np.ndarray:
    return np.array([payload], dtype=object)


KINDS: dict[str, Callable[[Path, Payload], object]] = {
    "pickle": lambda path, payload: path.write_bytes(pickle.dumps({"model": payload})),
    "oldest pickle": lambda path, payload: path.write_bytes(pickle.dumps({"model": payload}, protocol=0)),
    "zip": lambda path, payload: torch.save({"model": payload}, path),
    "before zip": lambda path, payload: torch.save({"model": payload}, path, _use_new_zipfile_serialization=False),
    "tar": legacy_tar,
    "tensor with a hook": lambda path, payload: torch.save({"model": {"a": hooked(payload)}}, path),
    "numpy objects": lambda path, payload: np.save(path.open("wb"), objects(payload), allow_pickle=True),
    "npz with objects": lambda path, payload: np.savez(path.open("wb"), a=objects(payload)),
}


def hooked(payload: Payload) -> torch.Tensor:
    tensor = torch.ones(2)
    tensor.note = payload  # pyright: ignore[reportAttributeAccessIssue] - attributes are kept beside the numbers
    return tensor


@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".safetensors", ".npz"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_payload_does_not_run(tmp_path: Path, kind: str, suffix: str) -> None:
    target, path = tmp_path / "executed", tmp_path / f"evil{suffix}"
    KINDS[kind](path, Payload(target))
    for read in (read_state, read_torch):
        with pytest.raises(ConfigError, match=rf"evil\{suffix}"):
            read(path)
    assert not target.exists()


@pytest.mark.parametrize("kind", ["pickle", "zip", "before zip", "tensor with a hook"])
def test_these_payloads_are_live(tmp_path: Path, kind: str) -> None:
    target, path = tmp_path / "executed", tmp_path / "evil.pth"
    KINDS[kind](path, Payload(target))
    (pickle.loads(path.read_bytes()) if kind == "pickle" else torch.load(path, weights_only=False))
    assert target.exists()


@pytest.mark.parametrize("kind", ["zip", "before zip"])
def test_the_message_says_what_would_run_and_how_to_convert_the_file(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path / "evil.pth", Payload(tmp_path / "executed"))
    with pytest.raises(ConfigError, match=r"evil\.pth was refused.*mkdir.*trust the file.*weights_only=False"):
        read_state(tmp_path / "evil.pth")


def test_the_way_out_is_the_callers(tmp_path: Path) -> None:
    KINDS["zip"](tmp_path / "evil.ckpt", Payload(tmp_path / "executed"))
    with pytest.raises(ConfigError, match=r"could run code.*pass another$"):
        read_torch(tmp_path / "evil.ckpt", way_out="pass another")


@pytest.mark.parametrize(
    "strings",
    [
        {"mean": "["},
        {"mean": "[0.5]"},
        {"mean": "null"},
        {"mean": "[NaN, 0.5, 0.5]"},
        {"std": "[0, 1, 1]"},
        {"std": '{"a": 1}'},
        {"image_size": "1000000000"},
        {"image_size": "-3"},
        {"image_size": "[" * 100_000},
    ],
    ids=lambda strings: str(strings)[:40],
)
def test_what_a_file_says_of_its_network_is_checked(strings: dict[str, str]) -> None:
    whole = Inputs((0.5, 0.5, 0.5), (0.2, 0.2, 0.2), 28).metadata()
    assert Inputs.from_metadata(whole) is not None
    with pytest.raises(ValueError, match=r"."):
        Inputs.from_metadata(whole | strings)
