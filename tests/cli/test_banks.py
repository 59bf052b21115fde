"""A teacher's answers stored by one run and replayed by others, through the command line."""

import json
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_runs import TINY

import commands
from conftest import Outcome


def weights(folder: Path) -> dict[str, torch.Tensor]:
    assert json.loads((folder / "run.json").read_text())["status"] == "done"
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.slow
def test_a_replayed_run_is_the_recorded_one_to_the_bit(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    """With augmentation, mixing and repeats: the same labels, hence the same student."""
    settings = (*TINY, "augment=deit", "distill=hard")
    live = deit_train(*settings, "hydra.run.dir=live")
    recorded = deit_train(*settings, "distill.bank=auto", "hydra.run.dir=recorded")
    replayed = deit_train(*settings, "distill.bank=replay", "hydra.run.dir=replayed")
    for outcome in (live, recorded, replayed):
        assert outcome.status == 0, outcome.said
    first, second, third = (weights(tmp_path / name) for name in ("live", "recorded", "replayed"))
    assert all(torch.equal(first[name], second[name]) and torch.equal(first[name], third[name]) for name in first)
    assert "0 replayed" in recorded.said
    assert ", 0 recorded" in replayed.said
    assert "100.00 % of" in replayed.said, "compared with the teacher before the first step"
    (made,) = (tmp_path / "logs/banks").iterdir()
    other_student = deit_train(
        *settings, "model=deit_s", "optim.batch_size=32", "distill.bank=replay", "hydra.run.dir=s"
    )
    assert other_student.status == 0, other_student.said
    assert list((tmp_path / "logs/banks").iterdir()) == [made], "any student, any batch"


@pytest.mark.slow
def test_longer_runs_ask_for_what_is_missing_or_see_the_views_again(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    assert deit_train(*TINY, "distill.bank=auto", "hydra.run.dir=short").status == 0
    longer = ("optim.epochs=4",)
    missing = deit_train(*TINY, *longer, "distill.bank=replay", "hydra.run.dir=missing")
    assert missing.status == 1
    assert "distill.bank=auto to ask the teacher for what is missing" in missing.said
    assert "Traceback" not in missing.said
    again = deit_train(*TINY, *longer, "distill.bank=replay", "distill.views=2", "hydra.run.dir=again")
    assert again.status == 0, again.said
    assert "views repeat after 2 of 4 epochs" in again.said
    more = deit_train(*TINY, *longer, "distill.bank=auto", "hydra.run.dir=more")
    assert more.status == 0, more.said
    assert len(list((tmp_path / "logs/banks").glob("*/view_*"))) == 4


@pytest.mark.slow
def test_soft_distillation_with_all_logits_is_replayed_to_the_bit(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    settings = (*TINY, "distill=soft")
    for name, mode in (("live", "auto"), ("replayed", "replay")):
        outcome = deit_train(*settings, f"distill.bank={mode}", f"hydra.run.dir={name}")
        assert outcome.status == 0, outcome.said
    live, replayed = (weights(tmp_path / name) for name in ("live", "replayed"))
    assert all(torch.equal(live[name], replayed[name]) for name in live)


@pytest.mark.slow
def test_a_bank_that_is_not_this_runs_is_refused(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    assert deit_train(*TINY, "distill.bank=auto", "distill.bank_path=bank", "hydra.run.dir=a").status == 0
    other = deit_train(*TINY, "distill.bank=replay", "distill.bank_path=bank", "seed=1", "hydra.run.dir=b")
    assert other.status == 2
    assert "seed is 1, the bank has 0" in other.said
    nowhere = deit_train(*TINY, "distill.bank=replay", "seed=1", "hydra.run.dir=c")
    assert nowhere.status == 2
    assert "there is no bank" in nowhere.said
    shutil.copytree(tmp_path / "bank", tmp_path / "wrong")
    for path in (tmp_path / "wrong").glob("view_*/decision.u16"):
        np.full(path.stat().st_size // 2, 3, np.uint16).tofile(path)  # says 3 of every image
        path.with_name("checksum.u32").unlink()
    wrong = deit_train(*TINY, "distill.bank=replay", "distill.bank_path=wrong", "hydra.run.dir=d")
    assert wrong.status == 2
    assert "it is damaged or of something else" in wrong.said


def bank_py(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.run("bank.py", *arguments, cwd=folder)


def contents(folder: Path) -> dict[str, bytes]:
    (made,) = (folder / "logs/banks").iterdir()
    return {str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_bank_is_built_verified_and_described(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    nothing = bank_py(tmp_path, "list")
    assert nothing.returncode == 0, nothing.stderr
    assert "no bank below logs/banks" in nothing.stdout
    missing = bank_py(tmp_path, "stats", *TINY, "distill=soft")
    assert missing.returncode == 2
    assert "there is no bank" in missing.stderr
    built = bank_py(tmp_path, "build", *TINY, "distill=soft", "distill.bank_part=1/2,2/2", "-m")
    assert built.returncode == 0, built.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"logs"}, "no folder of a run"
    assert "100.00 % of 256 answers are the teacher's" in bank_py(tmp_path, "verify", *TINY, "distill=soft").stdout
    told = bank_py(tmp_path, "stats", *TINY, "distill=soft").stdout
    assert "392 of 392" in told
    assert "100.000 % of its probability by 10 logits" in told
    listed = bank_py(tmp_path, "list").stdout
    assert "digits-regnety_160-nano-fitted-" in listed and "deit_in1k" not in listed
    replayed = deit_train(*TINY, "distill=soft", "distill.bank=replay")
    assert replayed.status == 0, replayed.said
    assert "392 replayed, 0 recorded" in replayed.said


@pytest.mark.slow
def test_stats_measure_what_the_logits_left_out_are_missed_by(tmp_path: Path) -> None:
    def divergence(*overrides: str) -> float:
        """Builds a bank and returns the KL that is printed of it, in nats."""
        settings = (*TINY, "distill=soft", "distill.tau=3", *overrides)
        assert bank_py(tmp_path, "build", *settings).returncode == 0
        told = bank_py(tmp_path, "stats", *settings)
        assert told.returncode == 0, told.stderr
        found = re.search(r"KL\(teacher, replayed\).*? (\S+) nats at temperature 3, the mean of 256 views", told.stdout)
        assert found, told.stdout
        return float(found[1])

    all_, some = divergence(), divergence("distill.bank_logits=3")
    assert all_ < 1e-6 < some < 1, "kept exactly; seven classes evened out"
    listed = bank_py(tmp_path, "list").stdout
    assert "soft, all logits" in listed
    assert "soft, 3 logits" in listed


def test_a_build_on_several_devices_is_refused_with_what_to_type(tmp_path: Path) -> None:
    outcome = bank_py(tmp_path, "build", *TINY, "trainer=ddp", "trainer.devices=2")
    assert outcome.returncode == 2
    assert "bank.py build works on one device, but trainer=ddp asks for 2" in outcome.stderr
    assert "distill.bank_part=1/2,2/2 -m" in outcome.stderr
    assert not (tmp_path / "logs").exists()


def test_help_says_which_actions_there_are(tmp_path: Path) -> None:
    help_ = bank_py(tmp_path, "--help")
    assert (help_.returncode, help_.stderr) == (0, "")
    assert "src/bank.py verify" in help_.stdout


@pytest.mark.slow
def test_a_builder_that_is_killed_five_times_builds_the_same_bank(tmp_path: Path) -> None:
    settings = (*TINY, "distill=soft", "augment=deit", "optim.epochs=20", "data.train_fraction=0.3")
    (tmp_path / "whole").mkdir()
    assert bank_py(tmp_path / "whole", "build", *settings).returncode == 0
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole/logs/teachers", cut / "logs/teachers")
    killed = 0
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    while killed < 5:
        before = len(list(cut.glob("logs/banks/*/view_*")))
        with commands.start("bank.py", "build", *settings, cwd=cut, **silent) as builder:
            while len(list(cut.glob("logs/banks/*/view_*"))) <= before and builder.poll() is None:
                time.sleep(0.01)
            time.sleep(random.uniform(0, 1))
            if builder.poll() is not None:
                break
            builder.kill()
            killed += 1
    assert killed == 5
    assert bank_py(cut, "build", *settings).returncode == 0
    assert contents(cut) == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["hard", "soft"])
def test_two_processes_of_a_run_record_one_bank_between_them(
    deit_train: Callable[..., Outcome], tmp_path: Path, method: str
) -> None:
    settings = (*TINY, "augment=deit", f"distill={method}", "distill.bank_logits=3", "distill.bank_path=bank")
    recorded = deit_train(*settings, "trainer=ddp", "trainer.devices=2", "distill.bank=auto", "hydra.run.dir=two")
    assert recorded.status == 0, recorded.said
    asked = teacher_views(tmp_path / "two")
    assert asked["asked"] > 0 == asked["replayed"]
    replayed = deit_train(*settings, "distill.bank=replay", "hydra.run.dir=replayed")
    assert replayed.status == 0, replayed.said
    assert teacher_views(tmp_path / "replayed") == {"asked": 0, "replayed": asked["asked"]}
    alone = deit_train(*settings, "distill.bank=auto", "distill.bank_path=alone", "hydra.run.dir=one")
    assert alone.status == 0, alone.said
    assert teacher_views(tmp_path / "one") == asked
    decisions = {path.relative_to(tmp_path / "alone") for path in (tmp_path / "alone").glob("view_*/decision.u16")}
    assert decisions == {
        path.relative_to(tmp_path / "bank") for path in (tmp_path / "bank").glob("view_*/decision.u16")
    }
    for path in decisions:
        one, two = (np.fromfile(tmp_path / folder / path, np.uint16) for folder in ("alone", "bank"))
        assert np.array_equal(one, two), "the same views, the same labels"


@pytest.mark.slow
def test_twelve_students_ask_the_teacher_as_often_as_one(deit_train: Callable[..., Outcome], tmp_path: Path) -> None:
    """The check of a bank with its teacher is not counted: training views are."""
    settings = (*TINY, "distill=hard")
    one = deit_train(*settings, "hydra.run.dir=one")
    assert one.status == 0, one.said
    grid = ("model=deit_ti,deit_s,deit_b", "distill.token=true,false", "distill.alpha=0.3,0.7")
    sweep = deit_train(*settings, *grid, "distill.bank=auto", "-m", "hydra.sweep.dir=sweep", timeout=900)
    assert sweep.status == 0, sweep.said
    counts = [teacher_views(tmp_path / f"sweep/{number}") for number in range(12)]
    views = teacher_views(tmp_path / "one")["asked"]
    assert views == 2 * 196, "epochs x images"
    assert counts == [{"asked": views, "replayed": 0}, *[{"asked": 0, "replayed": views}] * 11]


def teacher_views(folder: Path) -> dict[str, int]:
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "done"
    return record["teacher"]
