"""Files whose pickles run code are refused, whatever they call themselves, and nothing in them runs."""

import io
import os
import pickle
import resource
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from deit.config.errors import ConfigError
from deit.models.files import read_state, read_torch
from deit.models.preprocess import Inputs
from deit.models.trained import read_trained

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


SHAPE = {"img_size": 16, "patch_size": 8, "embed_dim": 64, "depth": 1, "num_heads": 1, "num_classes": 3}
STATE = dict(VisionTransformer(**SHAPE).state_dict())
WEIGHT = "blocks.0.mlp.fc1.weight"
MEGABYTES = 90
"""Memory that reading such a file may take: none of what it claims, which is more."""


class Blank:
    """Fills the memory with zeros when it is unpickled, by a name that torch takes for harmless."""

    def __reduce__(self) -> tuple:
        return bytearray, (6 * 10**9,)


def rewritten(path: Path, change: Callable[[zipfile.ZipFile, str, bytes], object]) -> None:
    """Write the archive at ``path`` anew, entry by entry."""
    torch.save(STATE, path)
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            change(archive, name, content)


def compressed(path: Path) -> None:
    def change(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
        is_first = name.endswith("/data/0")
        archive.writestr(name, bytes(10**8) if is_first else content, zipfile.ZIP_DEFLATED if is_first else None)

    rewritten(path, change)


def overlapping(path: Path) -> None:
    """A thousand names in the archive's directory for the same bytes."""
    torch.save({"a": torch.zeros(10**6)}, path)
    content = path.read_bytes()
    end = content.rfind(b"PK\5\6")
    count, size, start = struct.unpack("<HII", content[end + 10 : end + 20])
    directory = content[start : start + size]
    at = directory.find(b"/data/0") - 46
    at = directory.rfind(b"PK\1\2", 0, at + 46)
    lengths = struct.unpack("<HHH", directory[at + 28 : at + 34])
    entry = directory[at : at + 46 + sum(lengths)]
    more = b"".join(entry.replace(b"/data/0", b"/dat%03d" % number) for number in range(1000))
    tail = bytearray(content[end:])
    struct.pack_into("<HHII", tail, 8, count + 1000, count + 1000, size + len(more), start)
    path.write_bytes(content[:start] + directory + more + tail)


def claiming(path: Path) -> None:
    """A storage of the form before zip archives that says it has 8 GB."""
    torch.save({"a": torch.zeros(100_000)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(struct.pack("<i", 100_000), struct.pack("<i", 2 * 10**9)))


def blocks_of_one(path: Path) -> None:
    shared = {name: tensor for name, tensor in STATE.items() if name.startswith("blocks.0.")}
    names = {name.replace(".0.", f".{block}.", 1): t for block in range(1, 3000) for name, t in shared.items()}
    torch.save(STATE | names, path)


def named_blocks(path: Path) -> None:
    torch.save(STATE | {f"blocks.{block}.x": torch.zeros(()) for block in range(1, 3000)}, path)


def saving(tensor: Callable[[], object]) -> Callable[[Path], None]:
    return lambda path: torch.save(STATE | {WEIGHT: tensor()}, path)


LARGE = torch.sparse_coo_tensor(torch.zeros(2, 1, dtype=torch.long), torch.ones(1), (10**6, 10**6))
BOMBS: dict[str, tuple[Callable[[Path], None], str]] = {
    "stride 0": (saving(lambda: torch.ones(1).expand(10**7, 64)), rf"claim .* bytes.*\({WEIGHT} expanded"),
    "expanded rows": (saving(lambda: torch.ones(1, 64).expand(256, 64)), rf"claim .* bytes.*\({WEIGHT} expanded"),
    "nested": (saving(lambda: torch.nested.nested_tensor([torch.ones(2, 3)])), rf"{WEIGHT} \(nested\)"),
    "sparse": (saving(lambda: LARGE), rf"{WEIGHT} \(sparse coo\)"),
    "sparse rows": (saving(lambda: torch.eye(4).to_sparse_csr()), rf"{WEIGHT} \(sparse csr\)"),
    "quantized": (
        saving(lambda: torch.quantize_per_tensor(torch.ones(4, 4), 0.1, 0, torch.qint8)),
        rf"{WEIGHT} \(quantized\)",
    ),
    "meta": (saving(lambda: torch.ones(10**6, 10**6, device="meta")), rf"{WEIGHT} \(meta"),
    "complex": (saving(lambda: torch.ones(256, 64, dtype=torch.complex64)), rf"{WEIGHT} \(torch.complex64\)"),
    "8 bits": (saving(lambda: torch.ones(256, 64, dtype=torch.int8)), rf"{WEIGHT} \(torch.int8\)"),
    "constructor": (saving(Blank), "bytearray"),
    "compressed": (compressed, "data/0 in it is compressed, to 100,000,000 bytes"),
    "overlapping": (overlapping, "its entries claim 4,00.* bytes"),
    "storage": (claiming, "no checkpoint"),
    "blocks of one storage": (blocks_of_one, "its tensors claim .* bytes"),
    "names of blocks": (named_blocks, r"missing: blocks\.1\."),
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_a_small_file_that_describes_much_is_refused_in_little_memory(bomb: str, tmp_path: Path) -> None:
    make, said = BOMBS[bomb]
    make(tmp_path / "bomb.pth")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ConfigError, match=rf"bomb\.pth.*{said}"):
        read_trained(tmp_path / "bomb.pth")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES * 1024
