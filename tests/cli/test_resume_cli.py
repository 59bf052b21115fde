"""Real kills and signals of real processes: what they leave, and that the same command goes on exactly."""

import csv
import itertools
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

import commands
from alike import same
from conftest import Outcome

TINY = (
    "data.train_fraction=0.25", "scale.depth=1", "augment=deit", "optim.batch_size=12", "optim.epochs=3",
    "optim.warmup_epochs=0", "teacher.fit.epochs=2", "teacher.nano_width=0.05",
)  # fmt: skip
KILLS = 4  # of each of seven kinds of run
ALONE, BANK = ("distill=none",), ("distill.bank=auto",)
EVERY_STEP, SOME_STEPS = ("trainer.checkpoint_steps=1",), ("trainer.checkpoint_steps=5",)
ACCUMULATED, AVERAGED, WORKERS = ("trainer.accumulate=3",), ("optim.ema=0.9",), ("data.workers=2",)
KINDS = {
    "plain": (*ALONE, *EVERY_STEP, "data.workers=0"),
    "averaged, with workers": (*ALONE, *AVERAGED, *WORKERS, *SOME_STEPS),
    "accumulated": (*ALONE, *ACCUMULATED, *AVERAGED, *EVERY_STEP, "data.workers=0"),
    "hard": ("distill=hard", *SOME_STEPS, "data.workers=0"),
    "hard, from a bank": ("distill=hard", *BANK, *ACCUMULATED, *WORKERS, *SOME_STEPS),
    "soft, from a bank": ("distill=soft", "distill.bank_logits=3", *BANK, *SOME_STEPS, "data.workers=0"),
    "by the minute": (*ALONE, *ACCUMULATED, *WORKERS, "trainer.checkpoint_minutes=0.002"),
}


def start(folder: Path, *settings: str) -> commands.Process:
    """Start a run that leads a process group of its own."""
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        return commands.start(
            "train.py",
            *TINY,
            *settings,
            f"hydra.run.dir={folder}",
            cwd=folder.parent,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for(what: Callable[[], object], process: commands.Process, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)


def end(process: commands.Process) -> None:
    """Let nothing of a group live on."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def state(folder: Path) -> tuple[dict, list[dict[str, str]]]:
    last = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [{n: v for n, v in row.items() if n != "train/images_per_s"} for row in csv.DictReader(file)]
    return {name: last[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "loops")}, rows


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_moments_it_ends_the_same(kind: str, tmp_path: Path) -> None:
    """Seeded: a failure can be repeated. Half of the kills leave the data workers behind."""
    settings, chance = KINDS[kind], random.Random(kind)
    whole, cut = tmp_path / "whole/run", tmp_path / "cut/run"
    process = start(whole, *settings)
    wait_for((whole / "run.json").is_file, process)
    began = time.monotonic()
    assert process.wait(240) == 0, (tmp_path / "whole/run.log").read_text()
    length = time.monotonic() - began
    killed = 0
    for _ in range(KILLS):
        (cut / "run.json").unlink(missing_ok=True)  # so that the moment counts from when the work begins
        process = start(cut, *settings)
        wait_for((cut / "run.json").is_file, process)
        time.sleep(chance.uniform(0, 0.7 * length))
        killed += process.poll() is None
        if chance.random() < 0.5:
            process.kill()
            process.wait()
        end(process)
    process = start(cut, *settings)
    assert process.wait(240) == 0, (tmp_path / "cut/run.log").read_text()
    assert killed, "no kill came before the end"
    assert same(state(cut), state(whole))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "to_all"), itertools.product([signal.SIGTERM, signal.SIGINT, signal.SIGUSR2], [False, True])
)
def test_a_signal_to_a_run_with_workers_ends_it_with_a_checkpoint(
    number: signal.Signals, to_all: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "out/run"
    process = start(folder, "distill=none", "data.workers=2", "optim.epochs=500")
    wait_for((folder / "checkpoints/last.ckpt").is_file, process)
    before = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"]
    os.killpg(process.pid, number) if to_all else process.send_signal(number)
    status = process.wait(60)
    said = (tmp_path / "out/run.log").read_text()
    assert status == (130 if number == signal.SIGINT else 75), said
    assert f"{number.name}: a checkpoint follows" in said
    assert "Traceback" not in said
    assert json.loads((folder / "run.json").read_text())["status"] == "preempted"
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] > before
    assert subprocess.run(["pgrep", "-g", str(process.pid)], check=False).returncode == 1, "nothing lives on"


@pytest.mark.slow
def test_a_second_interrupt_ends_a_run_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "out/run"
    process = start(folder, "distill=none", "data.workers=0", "optim.epochs=500", "trainer.accumulate=3")
    wait_for((folder / "checkpoints/last.ckpt").is_file, process)
    process.send_signal(signal.SIGSTOP)  # both arrive before a step ends
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)
    assert process.returncode in (-signal.SIGINT, 130)


@pytest.mark.slow
def test_a_signal_ends_a_sweep_and_the_same_command_finishes_it(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    sweep = tmp_path / "out/sweep"
    grid = ("distill=none", "seed=0,1", "-m", f"hydra.sweep.dir={sweep}")
    process = start(sweep, *grid)
    wait_for((sweep / "0/checkpoints/last.ckpt").is_file, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 75
    said = (tmp_path / "out/sweep.log").read_text()
    assert "1 preempted, 1 not started" in said
    again = deit_train(*TINY, *grid)
    assert again.status == 0, again.said
    assert "2 done" in again.said


@pytest.mark.slow
def test_two_devices_stop_together_wherever_the_signal_arrives_and_go_on_exactly(tmp_path: Path) -> None:
    settings = ("distill=none", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.workers=0")
    whole, cut = tmp_path / "whole/run", tmp_path / "cut/run"
    assert start(whole, *settings).wait(240) == 0, (tmp_path / "whole/run.log").read_text()
    process = start(cut, *settings)
    wait_for((cut / "checkpoints/last.ckpt").is_file, process)
    others = subprocess.run(
        ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    os.kill(int(others[0]), signal.SIGUSR1)  # the second rank alone
    assert process.wait(60) == 75, (tmp_path / "cut/run.log").read_text()
    process = start(cut, *settings)
    wait_for(lambda: "resuming" in (tmp_path / "cut/run.log").read_text(), process)
    end(process)
    assert start(cut, *settings).wait(240) == 0, (tmp_path / "cut/run.log").read_text()
    assert same(state(cut), state(whole))
