"""The bank: what comes back, when it is known, what is refused."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deit.config.errors import ConfigError, RunError
from deit.config.teaching import BankMode, KLReduction
from deit.data.batches import TrainBatch
from deit.distillation import losses
from deit.distillation.answers import decisions
from deit.distillation.bank import MOST_MAPS, Bank
from deit.distillation.targets import BankTargets
from small_disk import SmallDisk

VIEWS, INDICES = torch.tensor([0, 0, 3, 3]), torch.tensor([5, 1, 5, 9])


def bank(folder: Path, *, top: int = 0, classes: int = 20, **identity: object) -> Bank:
    return Bank(folder, {"seed": 0, **identity}, num_images=10, num_classes=classes, top=top)


def logits(classes: int = 20, scale: float = 4.0) -> torch.Tensor:
    return torch.randn(4, classes, generator=torch.Generator().manual_seed(0)) * scale


@pytest.mark.parametrize("top", [0, 3, 20])
def test_decisions_come_back_at_their_view_and_image(tmp_path: Path, top: int) -> None:
    made = bank(tmp_path, top=top)
    made.write(VIEWS, INDICES, logits())
    made.commit()
    again = bank(tmp_path, top=top)
    assert again.known(VIEWS, INDICES)
    assert torch.equal(decisions(again.read(VIEWS, INDICES)), logits().argmax(-1))
    turned = again.read(VIEWS.flip(0), INDICES.flip(0))
    assert torch.equal(turned.flip(0), again.read(VIEWS, INDICES))
    assert not again.known(torch.tensor([0]), torch.tensor([9]))
    assert not again.known(torch.tensor([1]), torch.tensor([5]))
    assert [again.num_known(view) for view in range(4)] == [2, 0, 0, 2]


@pytest.mark.parametrize("top", [20, 32])
def test_as_many_logits_as_classes_come_back_to_the_bit_in_four_bytes_each(tmp_path: Path, top: int) -> None:
    made = bank(tmp_path, top=top)
    made.write(VIEWS, INDICES, logits(scale=30))
    made.commit()
    assert torch.equal(bank(tmp_path, top=top).read(VIEWS, INDICES), logits(scale=30))
    assert made.share_kept(0) == 1
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "view_00000").iterdir()}
    assert sizes == {"checksum.u32": 10 * 4, "decision.u16": 10 * 2, "logits.f32": 10 * 20 * 4}


def test_some_logits_take_four_bytes_each_and_two_for_their_sum(tmp_path: Path) -> None:
    made = bank(tmp_path, top=3)
    made.write(VIEWS, INDICES, logits())
    made.commit()
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "view_00003").iterdir()}
    fields = {"decision.u16": 10 * 2, "class.u16": 10 * 3 * 2, "logit.f16": 10 * 3 * 2, "total.f16": 10 * 2}
    assert sizes == {**fields, "checksum.u32": 10 * 4}


def test_the_loss_between_teacher_and_kept_answer_is_the_mass_that_was_evened_out(tmp_path: Path) -> None:
    """Two of four probabilities kept: 1/2 and 1/4; what is left, 3/16 and 1/16, comes back as 1/8 and 1/8."""
    made = bank(tmp_path, top=2, classes=4)
    answer = torch.tensor([[8.0, 4.0, 3.0, 1.0]]).log()
    made.write(VIEWS[:1], INDICES[:1], answer)
    made.commit()
    replayed = made.read(VIEWS[:1], INDICES[:1])
    divergence = losses.soft_distillation(replayed, answer, tau=1.0, reduction=KLReduction.batchmean).item()
    assert divergence == pytest.approx(3 / 16 * np.log(3 / 2) + 1 / 16 * np.log(1 / 2), abs=2e-4), "half precision"
    assert made.share_kept(0) == pytest.approx(3 / 4, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(0.1, 30), top=st.integers(1, 19))
def test_the_largest_probabilities_and_the_sum_of_the_rest_are_kept(
    tmp_path_factory: pytest.TempPathFactory, scale: float, top: int
) -> None:
    made = bank(tmp_path_factory.mktemp("bank"), top=top)
    made.write(VIEWS, INDICES, logits(scale=scale))
    made.commit()
    before, after = logits(scale=scale).softmax(-1), made.read(VIEWS, INDICES).softmax(-1)
    best = before.topk(top)
    assert torch.allclose(after.gather(1, best.indices), best.values, atol=2e-2)
    assert torch.allclose(after.sum(-1), torch.ones(4), atol=1e-5)
    others = after.scatter(1, best.indices, 0.0)
    assert torch.allclose(others.sum(-1), 1 - best.values.sum(-1), atol=3e-2)


def test_hard_labels_take_two_bytes_and_their_checksum_four(tmp_path: Path) -> None:
    made = bank(tmp_path)
    made.write(VIEWS, INDICES, logits())
    made.commit()
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "view_00000").iterdir()}
    assert sizes == {"decision.u16": 20, "checksum.u32": 40}


def test_imagenet_for_300_epochs_takes_two_gigabytes(tmp_path: Path) -> None:
    """(2 + 4) bytes x 1,281,167 images x 300 views, made as sparse files and opened at once."""
    large = Bank(tmp_path, {}, num_images=1_281_167, num_classes=1000, top=0)
    for view in range(300):
        large.write(torch.tensor([view]), torch.tensor([1_281_166]), torch.eye(1000)[[view]])
    large.commit()
    size = sum(path.stat().st_size for path in tmp_path.glob("view_*/*"))
    assert size == (2 + 4) * 1_281_167 * 300
    assert 2.30e9 < size < 2.31e9
    again = Bank(tmp_path, {}, num_images=1_281_167, num_classes=1000, top=0)
    assert again.read(torch.tensor([299]), torch.tensor([1_281_166])).tolist() == [299]


def test_opening_a_bank_reads_none_of_its_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = bank(tmp_path, top=3)
    made.write(VIEWS, INDICES, logits())
    made.commit()
    mapped: list[str] = []
    memmap = np.memmap
    monkeypatch.setattr(
        np, "memmap", lambda path, *rest, **named: mapped.append(path.name) or memmap(path, *rest, **named)
    )
    again = bank(tmp_path, top=3)
    assert mapped == []
    assert again.known(VIEWS[:2], INDICES[:2])
    assert mapped == ["decision.u16"], "of the view that was asked for"


def test_a_bank_of_many_views_holds_few_files_open(tmp_path: Path) -> None:
    def num_open() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    made, before = bank(tmp_path, top=3), num_open()
    for view in range(MOST_MAPS):
        views = torch.full((4,), view)
        made.write(views, INDICES, logits())
        made.commit()
        assert made.read(views, INDICES).shape == (4, 20)
    assert num_open() <= before + MOST_MAPS, "of four times as many"
    assert made.known(torch.arange(MOST_MAPS), torch.full((MOST_MAPS,), 9))


def test_nothing_is_known_before_it_is_committed(tmp_path: Path) -> None:
    made = bank(tmp_path)
    made.write(VIEWS, INDICES, logits())
    assert not made.known(VIEWS, INDICES)
    assert not bank(tmp_path).known(VIEWS, INDICES)
    made.commit()
    assert bank(tmp_path).known(VIEWS, INDICES)


def test_what_was_committed_survives_a_kill(tmp_path: Path) -> None:
    code = f"""
import os, signal, torch
from pathlib import Path
from deit.distillation.bank import Bank
bank = Bank(Path({str(tmp_path)!r}), {{"seed": 0}}, num_images=10, num_classes=20, top=0)
bank.write(torch.tensor([0, 0]), torch.tensor([1, 2]), torch.eye(20)[[7, 8]])
bank.commit()
bank.write(torch.tensor([0]), torch.tensor([3]), torch.eye(20)[[9]])
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == -9
    kept = bank(tmp_path)
    answers = kept.read(torch.tensor([0, 0]), torch.tensor([1, 2]))
    assert answers.tolist() == [7, 8]
    assert kept.num_known(0) == 2


def test_a_bank_of_something_else_is_refused_by_what_differs(tmp_path: Path) -> None:
    bank(tmp_path, teacher="a", weights="x")
    with pytest.raises(ConfigError, match=r"teacher is b, the bank has a; weights is y, the bank has x"):
        bank(tmp_path, teacher="b", weights="y")
    (tmp_path / "identity.json").write_text("{")
    with pytest.raises(ConfigError, match=r"identity\.json is no identity"):
        bank(tmp_path)


def test_of_two_that_claim_a_folder_at_once_the_first_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text = Path.write_text

    def slowly(self: Path, *arguments: str, **named: str) -> int:
        monkeypatch.undo()
        bank(tmp_path, teacher="first")
        return write_text(self, *arguments, **named)

    monkeypatch.setattr(Path, "write_text", slowly)
    with pytest.raises(ConfigError, match="teacher is second, the bank has first"):
        bank(tmp_path, teacher="second")
    assert [path.name for path in tmp_path.iterdir()] == ["identity.json"]


@pytest.mark.parametrize("fits", [0, 4])
def test_a_full_disk_names_the_file_and_leaves_what_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: int
) -> None:
    made = bank(tmp_path, top=3)
    made.write(VIEWS[:2], INDICES[:2], logits()[:2])
    made.commit()

    def full(*_: object) -> int:
        if fits:
            return fits  # bytes of a row of 6
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(RunError, match=r"view_00003/class\.u16 cannot be .*No space left.*before are kept"):
        made.write(VIEWS[2:], INDICES[2:], logits()[2:])
    again = bank(tmp_path, top=3)
    assert again.known(VIEWS[:2], INDICES[:2])
    assert not again.known(VIEWS[2:], INDICES[2:])


def test_a_bank_goes_on_when_there_is_room_again(tmp_path: Path, small_disk: Callable[[int], SmallDisk]) -> None:
    disk = small_disk(64)
    folder = disk.folder / "bank"
    made = bank(folder, top=3)
    made.write(VIEWS[:2], INDICES[:2], logits()[:2])
    made.commit()
    disk.fill()
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    with pytest.raises(RunError, match=r"view_00003.* cannot be written \(No space left.*make room for"):
        made.write(VIEWS[2:], INDICES[2:], logits()[2:])
    again = bank(folder, top=3)
    assert again.known(VIEWS[:2], INDICES[:2])
    assert not again.known(VIEWS[2:], INDICES[2:])
    assert all(path.read_bytes() == content for path, content in before.items())
    with pytest.raises(RunError, match=r"other/identity\.json cannot be written"):
        bank(disk.folder / "other")
    disk.make_room()
    again.write(VIEWS[2:], INDICES[2:], logits()[2:])
    again.commit()
    assert bank(folder, top=3).known(VIEWS, INDICES)
    bank(disk.folder / "other")


def test_a_file_that_was_not_copied_whole_is_named(tmp_path: Path) -> None:
    made = bank(tmp_path, top=3)
    made.write(VIEWS, INDICES, logits())
    made.commit()
    with (tmp_path / "view_00003/logit.f16").open("r+b") as file:
        file.truncate(16)
    again = bank(tmp_path, top=3)
    assert again.read(VIEWS[:2], INDICES[:2]).shape == (2, 20)
    with pytest.raises(RunError, match=r"view_00003/logit\.f16 has 16 bytes, not 60.*copy it again, or delete"):
        again.read(VIEWS, INDICES)


class Teacher:
    """Answers every image with the class of its first pixel, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def promise(self, images: torch.Tensor):
        self.asked += len(images)
        return lambda: torch.nn.functional.one_hot(images[:, 0, 0, 0].long(), 20).float()


def batch(images: torch.Tensor, substituted: tuple[bool, ...] = (False,) * 4) -> TrainBatch:
    return TrainBatch(images, torch.empty(0), VIEWS, INDICES, torch.tensor(substituted))


@pytest.mark.parametrize("mode", [BankMode.record, BankMode.auto, BankMode.replay])
def test_each_mode_asks_whom_it_must(tmp_path: Path, mode: BankMode) -> None:
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    teacher = Teacher()
    targets = BankTargets(bank(tmp_path), teacher, mode)  # type: ignore[arg-type]
    if mode is BankMode.replay:
        with pytest.raises(RunError, match=r"no answer to view 0 of image 5.*distill\.bank=auto"):
            targets.promise(batch(images))
        return
    for _ in range(2):
        assert decisions(targets.promise(batch(images))()).tolist() == [0, 1, 2, 3]
        targets.commit()
    assert teacher.asked == targets.num_asked == (4 if mode is BankMode.auto else 8)
    assert targets.num_replayed == 8 - teacher.asked
    replay = BankTargets(bank(tmp_path), teacher, BankMode.replay)  # type: ignore[arg-type]
    assert decisions(replay.promise(batch(images))()).tolist() == [0, 1, 2, 3]
    assert (replay.num_asked, replay.num_replayed) == (0, 4)
    assert json.loads((tmp_path / "identity.json").read_text()) == {"seed": 0}


@pytest.mark.parametrize("mode", [BankMode.record, BankMode.auto])
def test_what_stands_in_for_an_image_is_answered_and_never_kept(tmp_path: Path, mode: BankMode) -> None:
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    teacher = Teacher()
    targets = BankTargets(bank(tmp_path), teacher, mode)  # type: ignore[arg-type]
    one = batch(images, (False, True, False, False))
    assert decisions(targets.promise(one)()).tolist() == [0, 1, 2, 3]
    targets.commit()
    own = ~one.substituted
    assert targets.bank.known(VIEWS[own], INDICES[own])
    assert not targets.bank.known(VIEWS[~own], INDICES[~own])
    everything = batch(images, (True,) * 4)
    assert decisions(targets.promise(everything)()).tolist() == [0, 1, 2, 3]


def test_replay_asks_the_teacher_about_what_stands_in(tmp_path: Path) -> None:
    """The bank knows the image that cannot be read, but its answer is to that image and not to what is seen now."""
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 2, 2)
    recorded = BankTargets(bank(tmp_path), Teacher(), BankMode.record)  # type: ignore[arg-type]
    recorded.promise(batch(images))()
    recorded.commit()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.u16")}
    replay = BankTargets(bank(tmp_path), Teacher(), BankMode.replay)  # type: ignore[arg-type]
    other = images + torch.tensor([0.0, 10, 0, 0]).view(4, 1, 1, 1)
    assert decisions(replay.promise(batch(other, (False, True, False, False)))()).tolist() == [0, 11, 2, 3]
    replay.commit()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.u16")} == before
    assert (replay.num_asked, replay.num_replayed) == (4, 0)


def test_recorders_at_once_do_not_empty_each_others_files(tmp_path: Path) -> None:
    first, second = bank(tmp_path), bank(tmp_path)
    first.write(VIEWS[:2], INDICES[:2], logits()[:2])
    first.commit()
    second.write(VIEWS[2:], INDICES[2:], logits()[2:])
    second.write(VIEWS[:1], torch.tensor([8]), logits()[:1])
    second.commit()
    assert bank(tmp_path).known(VIEWS, INDICES)
    assert np.count_nonzero(np.fromfile(tmp_path / "view_00000/decision.u16", np.uint16)) == 3


@pytest.mark.parametrize("link", ["view_00000", "view_00000/decision.u16"])
def test_a_bank_that_leads_elsewhere_by_a_link_changes_nothing_there(tmp_path: Path, link: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "decision.u16").write_bytes(b"work" * 5)
    bank(tmp_path / "bank")
    place = tmp_path / "bank" / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(elsewhere / "decision.u16" if link.endswith("u16") else elsewhere)
    with pytest.raises(ConfigError, match=r"\.u\d+ leads to .*elsewhere.*, outside of its folder"):
        made = bank(tmp_path / "bank")
        made.write(VIEWS[:2], INDICES[:2], logits()[:2])
        made.commit()
    with pytest.raises(ConfigError, match="outside of its folder"):
        bank(tmp_path / "bank").known(VIEWS[:2], INDICES[:2])
    assert (elsewhere / "decision.u16").read_bytes() == b"work" * 5


@pytest.mark.parametrize(("top", "field"), [(0, "decision"), (3, "decision"), (3, "class"), (20, "decision")])
def test_classes_that_there_are_not_are_damage_without_a_checksum(tmp_path: Path, top: int, field: str) -> None:
    made = bank(tmp_path, top=top)
    made.write(VIEWS, INDICES, logits())
    made.commit()
    (tmp_path / "view_00000/checksum.u32").unlink()
    file = tmp_path / f"view_00000/{field}.u16"
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(RunError, match=r"view_00000 is damaged: the answers to images 5, 1 are not what was written"):
        bank(tmp_path, top=top).read(VIEWS, INDICES)


@pytest.mark.parametrize(
    ("top", "field"), [(0, "decision"), (3, "class"), (3, "logit"), (3, "total"), (20, "logits"), (3, "checksum")]
)
def test_one_changed_bit_is_noticed_when_the_answer_is_read(tmp_path: Path, top: int, field: str) -> None:
    made = bank(tmp_path, top=top)
    made.write(VIEWS, INDICES, logits())
    made.commit()
    (file,) = (tmp_path / "view_00000").glob(f"{field}.*")
    content = bytearray(file.read_bytes())
    content[len(content) // 10 * 5] ^= 1  # of image 5
    file.write_bytes(content)
    again = bank(tmp_path, top=top)
    assert again.read(VIEWS[1:], INDICES[1:]).shape[0] == 3, "those of other images are as they were"
    with pytest.raises(RunError, match=r"view_00000 is damaged: the answers to images 5 are not what was written"):
        again.read(VIEWS, INDICES)
    with pytest.raises(RunError, match=r"images 5 are not what was written; copy .* or type python src/bank\.py build"):
        again.check(0)
    assert again.check(3) == 0


def test_an_answer_in_the_place_of_another_is_noticed(tmp_path: Path) -> None:
    """Whole files of another view."""
    made = bank(tmp_path, top=3)
    made.write(torch.tensor([0, 3]), torch.tensor([5, 5]), logits()[:2])
    made.commit()
    for file in (tmp_path / "view_00000").iterdir():
        file.write_bytes((tmp_path / "view_00003" / file.name).read_bytes())
    with pytest.raises(RunError, match="the answers to images 5 are not what was written"):
        bank(tmp_path, top=3).read(torch.tensor([0]), torch.tensor([5]))


def test_a_bank_without_checksums_is_read_with_a_warning_and_is_given_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = bank(tmp_path, top=3)
    made.write(VIEWS, INDICES, logits())
    made.commit()
    expected = made.read(VIEWS, INDICES)
    written = {view: (tmp_path / f"view_{view:05d}/checksum.u32").read_bytes() for view in (0, 3)}
    for view in (0, 3):
        (tmp_path / f"view_{view:05d}/checksum.u32").unlink()
    old = bank(tmp_path, top=3)
    for _ in range(2):
        assert torch.equal(old.read(VIEWS, INDICES), expected)
    assert [record.message for record in caplog.records] == [
        f"{tmp_path} has answers without checksums, in which damage would not be noticed; python src/bank.py verify,"
        " with the same settings, compares them with the teacher and adds the checksums"
    ]
    assert [old.check(view) for view in old.views()] == [2, 2]
    old.add_checksums(0)
    old.add_checksums(3)
    assert {view: (tmp_path / f"view_{view:05d}/checksum.u32").read_bytes() for view in (0, 3)} == written
    assert [old.check(view) for view in old.views()] == [0, 0]


def test_answers_beside_no_identity_are_refused(tmp_path: Path) -> None:
    bank(tmp_path).write(VIEWS, INDICES, logits())
    (tmp_path / "identity.json").unlink()
    with pytest.raises(ConfigError, match=r"identity\.json is missing.*copy it again, or delete"):
        bank(tmp_path)


@pytest.mark.parametrize("top", [0, 3])
def test_corrupt_answers_are_asked_for_again_or_refused(
    tmp_path: Path, top: int, caplog: pytest.LogCaptureFixture
) -> None:
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 3, 2, 2)

    def targets(mode: BankMode) -> BankTargets:
        return BankTargets(bank(tmp_path, top=top), Teacher(), mode)  # type: ignore[arg-type]

    first = targets(BankMode.record)
    expected = first.promise(batch(images))()
    first.commit()
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    (file,) = (tmp_path / "view_00003").glob("total.*" if top else "decision.*")
    file.write_bytes(file.read_bytes().replace(file.read_bytes()[18:20], b"\x05\x00"))
    with pytest.raises(
        RunError, match=r"view_00003 is damaged: the answers to images .*9 are not what was written; copy"
    ):
        targets(BankMode.replay).promise(batch(images))()
    again = targets(BankMode.auto)
    assert torch.equal(again.promise(batch(images))(), expected)
    again.commit()
    assert (again.num_asked, again.num_replayed) == (4, 0)
    assert "not what was written; they are asked for again now" in caplog.text
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == whole
    assert torch.equal(targets(BankMode.replay).promise(batch(images))(), expected)
