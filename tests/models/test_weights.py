import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from deit.config.errors import ConfigError, RunError
from deit.config.network import Model, Scale
from deit.models.files import read_metadata, read_state, save_weights
from deit.models.positions import resample_positions
from deit.models.preprocess import Inputs
from deit.models.students import Student, build_student
from deit.models.weights import load_student
from small_disk import SmallDisk


@pytest.fixture
def build(nano: Scale, tiny: Model):
    def build(*, token: bool = False, image_size: int = 28, num_classes: int = 10, heads: int = 3) -> Student:
        return build_student(
            Model(name="deit", heads=heads),
            nano,
            image_size=image_size,
            token=token,
            num_classes=num_classes,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        )

    return build


def written(path: Path, student: Student) -> Path:
    torch.save({"model": student.net.state_dict()}, path)
    return path


def states(student: Student) -> dict[str, Tensor]:
    return student.net.state_dict()


def equal(one: dict[str, Tensor], other: dict[str, Tensor], names) -> bool:
    return all(torch.equal(one[name], other[name]) for name in names)


# Reading


@pytest.mark.parametrize("name", ["noise.pth", "noise.safetensors", "noise.ckpt"])
@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04 half an archive", b"\x80\x02garbage"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=name):
        read_state(tmp_path / name)


def test_a_file_that_is_cut_off_is_named(tmp_path: Path, build) -> None:
    path = written(tmp_path / "half.pth", build())
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(ConfigError, match=r"half\.pth"):
        read_state(path)


@pytest.mark.parametrize("content", [{}, {"model": {}}, {"epoch": 3}, [1, 2], {"model": {"a": "b"}}])
def test_a_file_without_weights_is_named(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "hollow.pth")
    with pytest.raises(ConfigError, match=r"hollow\.pth holds no weights"):
        read_state(tmp_path / "hollow.pth")


def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path) -> None:
    whole = {"a.weight": torch.ones(3), "count": torch.tensor(3), "attn_mask": torch.tensor([-float("inf")])}
    torch.save(whole, tmp_path / "whole.pth")
    assert read_state(tmp_path / "whole.pth").keys() == whole.keys()
    for number in ("nan", "inf", "-inf"):
        torch.save(whole | {"a.weight": torch.tensor([1.0, float(number)])}, tmp_path / "spoilt.pth")
        with pytest.raises(
            ConfigError, match=r"spoilt\.pth holds weights that are no numbers \(NaN or infinite\): a\.w"
        ):
            read_state(tmp_path / "spoilt.pth")


def test_a_full_disk_is_told_and_leaves_the_old_file(small_disk: Callable[[int], SmallDisk]) -> None:
    disk = small_disk(256)
    path = disk.folder / "teacher.safetensors"
    save_weights(path, {"a": torch.ones(3)}, {})
    before = path.read_bytes()
    disk.fill()
    with pytest.raises(RunError, match=r"teacher\.safetensors cannot be written .*make room for"):
        save_weights(path, {"a": torch.ones(30_000)}, {})
    assert path.read_bytes() == before
    disk.make_room()
    save_weights(path, {"a": torch.ones(30_000)}, {})
    assert [file.name for file in disk.folder.iterdir()] == ["teacher.safetensors"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.pth is not a file"):
        read_state(tmp_path / "gone.pth")


@pytest.mark.parametrize("container", [None, "model", "model_ema", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "net.", "model.net."])
def test_containers_and_wrappers_are_unwrapped(tmp_path: Path, container: str | None, prefix: str) -> None:
    tensors = {"head.weight": torch.ones(2, 3), "cls_token": torch.zeros(1, 1, 3)}
    named = {prefix + name: tensor for name, tensor in tensors.items()}
    torch.save(named if container is None else {container: named, "epoch": 1}, tmp_path / "a.pth")
    assert read_state(tmp_path / "a.pth").keys() == tensors.keys()


def test_checkpoints_of_the_official_code_with_their_command_line_can_be_read(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.ones(1)}, "args": Namespace(lr=5e-4, model="deit")}, tmp_path / "a.pth")
    assert read_state(tmp_path / "a.pth").keys() == {"a"}


def test_files_from_before_zip_archives_can_be_read(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert read_state(tmp_path / "old.pth").keys() == {"a"}


def test_of_a_lightning_checkpoint_only_the_student_is_taken(tmp_path: Path) -> None:
    named = {
        "student.net.cls_token": torch.ones(1),
        "student._orig_mod.net.head.bias": torch.ones(2),
        "tau": torch.ones(3),
    }
    torch.save({"state_dict": named, "epoch": 1, "callbacks": {}}, tmp_path / "last.ckpt")
    assert read_state(tmp_path / "last.ckpt").keys() == {"cls_token", "head.bias"}


# Writing


def test_weights_and_strings_come_back(tmp_path: Path, build) -> None:
    student, inputs = build(token=True), Inputs((0.1, 0.2, 0.3), (1.0, 2.0, 3.0), 28)
    save_weights(tmp_path / "a.safetensors", states(student), inputs.metadata() | {"name": "deit_ti"})
    assert equal(load_file(tmp_path / "a.safetensors"), states(student), states(student))
    assert equal(read_state(tmp_path / "a.safetensors"), states(student), states(student))
    metadata = read_metadata(tmp_path / "a.safetensors")
    assert metadata["name"] == "deit_ti"
    assert Inputs.from_metadata(metadata) == inputs
    assert read_metadata(written(tmp_path / "a.pth", student)) == {}


def test_shared_and_strided_tensors_can_be_saved(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    save_weights(tmp_path / "a.safetensors", {"a": shared, "b": shared[0], "c": shared.T}, {})
    assert torch.equal(load_file(tmp_path / "a.safetensors")["c"], shared.T)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(path, {"a": torch.ones(1)}, {})

    def full(_: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"a\.safetensors cannot be written \(No space"):
        save_weights(path, {"a": torch.zeros(1)}, {})
    assert torch.equal(load_file(path)["a"], torch.ones(1))
    assert list(tmp_path.iterdir()) == [path]


# Loading a student


@pytest.mark.parametrize("token", [True, False])
def test_the_same_form_is_loaded_whole(tmp_path: Path, build, token: bool) -> None:
    source, student = build(token=token), build(token=token)
    report = load_student(student, written(tmp_path / "a.pth", source))
    assert equal(states(student), states(source), states(source))
    assert set(report.loaded) == set(states(source))
    assert report.summary() == f"{len(states(source))} tensors loaded"


@pytest.mark.parametrize("image_size", [20, 48])
@pytest.mark.parametrize("token", [True, False])
def test_another_resolution_resamples_the_positions_alone(tmp_path: Path, build, token: bool, image_size: int) -> None:
    source, student = build(token=token), build(token=token, image_size=image_size)
    report = load_student(student, written(tmp_path / "a.pth", source))
    assert report.resampled == ("pos_embed",)
    assert equal(states(student), states(source), report.loaded)
    grid = (image_size // 4, image_size // 4)
    expected = resample_positions(states(source)["pos_embed"], (7, 7), grid, 1 + token)
    assert torch.equal(states(student)["pos_embed"], expected)


def test_a_plain_file_gives_the_token_its_class_token_to_start_from(tmp_path: Path, build) -> None:
    source, student = build(), build(token=True, image_size=40)
    report = load_student(student, written(tmp_path / "a.pth", source))
    assert report.initialised == ("dist_token", "head_dist.weight", "head_dist.bias")
    own, given = states(student), states(source)
    assert torch.equal(own["dist_token"], given["cls_token"])
    assert torch.equal(own["head_dist.weight"], given["head.weight"])
    assert torch.equal(own["pos_embed"][:, 0], given["pos_embed"][:, 0])
    assert torch.equal(own["pos_embed"][:, 1], given["pos_embed"][:, 0])
    assert "dist_token" in report.summary()


def test_a_distilled_file_gives_a_plain_student_all_but_the_token(tmp_path: Path, build) -> None:
    source, student = build(token=True), build()
    report = load_student(student, written(tmp_path / "a.pth", source))
    assert report.dropped == ("dist_token", "head_dist.weight", "head_dist.bias")
    assert torch.equal(states(student)["pos_embed"][:, 0], states(source)["pos_embed"][:, 0])
    assert torch.equal(states(student)["pos_embed"][:, 1:], states(source)["pos_embed"][:, 2:])
    assert equal(states(student), states(source), [name for name in report.loaded if name != "pos_embed"])


@pytest.mark.parametrize("source_token", [True, False])
@pytest.mark.parametrize("token", [True, False])
def test_heads_for_other_classes_stay_as_drawn(tmp_path: Path, build, source_token: bool, token: bool) -> None:
    student = build(token=token, num_classes=7)
    before = {name: tensor.clone() for name, tensor in states(student).items()}
    report = load_student(student, written(tmp_path / "a.pth", build(token=source_token)))
    heads = [name for name in before if name.startswith("head")]
    assert equal(states(student), before, heads)
    assert set(heads) <= set(report.initialised)
    assert {"head.weight", "head.bias"} <= set(report.dropped)
    assert ("head_dist.weight" in report.dropped) is source_token
    assert len(report.dropped) == len(set(report.dropped))


def test_another_width_is_refused_and_changes_nothing(tmp_path: Path, build) -> None:
    student = build()
    before = {name: tensor.clone() for name, tensor in states(student).items()}
    with pytest.raises(ConfigError, match=r"a\.pth does not fit.*cls_token is 1x1x96 instead of 1x1x48"):
        load_student(student, written(tmp_path / "a.pth", build(heads=6)))
    assert equal(states(student), before, before)


def test_missing_and_unexpected_tensors_are_refused_by_name(tmp_path: Path, build) -> None:
    state = dict(states(build()))
    del state["blocks.3.norm1.weight"]
    state["blocks.0.ls1.gamma"] = torch.ones(48)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=r"missing: blocks\.3\.norm1\.weight; unexpected: blocks\.0\.ls1\.gamma"):
        load_student(build(), tmp_path / "a.pth")


def test_a_file_without_a_head_leaves_the_students_fresh_and_says_so(tmp_path: Path, build) -> None:
    state = {name: tensor for name, tensor in states(build()).items() if not name.startswith("head")}
    torch.save(state, tmp_path / "a.pth")
    for token in (False, True):
        student = build(token=token)
        before = {name: tensor.clone() for name, tensor in states(student).items()}
        report = load_student(student, tmp_path / "a.pth")
        heads = [name for name in before if name.startswith("head")]
        assert equal(before, states(student), heads)
        assert set(heads) <= set(report.initialised)


def test_positions_without_a_class_token_are_refused(tmp_path: Path, build) -> None:
    state = dict(states(build()))
    state["pos_embed"] = state["pos_embed"][:, 1:]
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match="DeiT III"):
        load_student(build(), tmp_path / "a.pth")


def test_positions_of_no_square_grid_are_refused(tmp_path: Path, build) -> None:
    state = dict(states(build()))
    state["pos_embed"] = state["pos_embed"][:, :-2]
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match="47 patches, which make no square grid"):
        load_student(build(), tmp_path / "a.pth")


def test_a_network_of_another_kind_is_refused(tmp_path: Path, build) -> None:
    torch.save({"conv1.weight": torch.ones(1)}, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=r"holds no vision transformer.*conv1\.weight"):
        load_student(build(), tmp_path / "a.pth")
