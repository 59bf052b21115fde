"""Faults that really happen to a run: one message, nothing lost, and the same command goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_runs import TINY, rows, run_json

import commands
from conftest import ROOT, Outcome
from small_disk import SmallDisk

SHORT = (*TINY, "distill=none", "data.train_fraction=1")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Sixty light and dark ones, below a folder whose name is not easily typed."""
    for number in range(60):
        path = tmp_path / "my 'photos', ü = 1" / ("day", "night")[number % 2] / f"{number:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 90, (36, 40, 3), dtype=np.uint8)
        Image.fromarray(noise + np.uint8(160 * (number % 2 == 0))).save(path)
    return tmp_path / "my 'photos', ü = 1"


def of(photos: Path) -> tuple[str, str]:
    quoted = str(photos).replace("'", "\\'")
    return "data=folder", f"data.root='{quoted}'"


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[commands.Process]:
    """Run src/train.py in ``folder`` beside the test, and end it with it."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with commands.start("train.py", *arguments, cwd=folder, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(there: Callable[[], object], process: commands.Process) -> None:
    while not there() and process.poll() is None:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()[0]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.slow
def test_a_run_stops_at_a_broken_image_and_goes_on_without_it(
    deit_train: Callable[..., Outcome], tmp_path: Path, photos: Path
) -> None:
    """With two processes that load, in a folder that is a link, and names that need quotes."""
    (tmp_path / "link").symlink_to(photos)
    # Three epochs, so that no image is left out of all incomplete last batches.
    settings = (*SHORT, "data=folder", "data.root=link", "data.workers=2", "optim.batch_size=8", "optim.epochs=3")
    for broken in (photos / "day").iterdir():
        broken.write_bytes(b"") if broken.name in ("00.jpg", "04.jpg", "08.jpg") else None
    stopped = deit_train(*settings, "hydra.run.dir=out")
    assert (stopped.status, stopped.said.count("cannot be read:")) == (1, 1), stopped.said
    assert "link/day/0" in stopped.said and "class day" in stopped.said and "data.on_error=skip" in stopped.said
    assert "Traceback" not in stopped.said
    assert run_json(tmp_path / "out")["status"] == "failed"
    gone_on = deit_train(*settings, "data.on_error=skip", "hydra.run.dir=out")
    assert gone_on.status == 0, gone_on.said
    record = run_json(tmp_path / "out")
    assert record["status"] == "done"
    names = [f"link/day/{name}.jpg" for name in ("00", "04", "08")]
    assert record["skipped"] == {"count": 3, "files": names}
    assert all(gone_on.said.count(f"skipped: {name}") == 1 for name in names)


@pytest.mark.slow
def test_a_run_that_skips_ends_the_same_with_any_workers_kills_and_devices(
    deit_train: Callable[..., Outcome], tmp_path: Path, photos: Path
) -> None:
    settings = (*SHORT, *of(photos), "data.on_error=skip", "optim.batch_size=8", "optim.epochs=8")
    for number in (0, 3, 10, 20):
        (photos / ("day", "night")[number % 2] / f"{number:02d}.jpg").write_bytes(b"")
    assert deit_train(*settings, "hydra.run.dir=whole").status == 0
    with started(tmp_path, *settings, "data.workers=2", "hydra.run.dir=cut") as process:
        wait_for((tmp_path / "cut/checkpoints/last.ckpt").is_file, process)
        process.kill()
    assert deit_train(*settings, "hydra.run.dir=cut").status == 0
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    two = deit_train(*settings, "trainer=ddp", "trainer.devices=2", "hydra.run.dir=two")
    assert two.status == 0, two.said
    assert run_json(tmp_path / "two")["skipped"] == run_json(tmp_path / "whole")["skipped"]
    for name in ("val/acc1", "test/acc1"):
        assert run_json(tmp_path / "two")["metrics"][name] == pytest.approx(
            run_json(tmp_path / "whole")["metrics"][name], abs=20
        )


def test_a_data_worker_that_is_killed_ends_the_run_with_one_message(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    settings = (*SHORT, "optim.epochs=100", "data.workers=2", "hydra.run.dir=out")
    with started(tmp_path, *settings) as process:
        wait_for((tmp_path / "out/checkpoints/last.ckpt").is_file, process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[-1]), signal.SIGKILL)
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert said.count("died, killed by signal: Killed; most likely the machine ran out of memory") == 1, said
    assert "pass data.workers=1, not 2" in said
    assert "Traceback" not in said
    record = run_json(tmp_path / "out")
    assert (record["status"], "data worker" in record["error"]) == ("failed", True)


@pytest.mark.slow
def test_data_workers_without_shared_memory_end_the_run_with_what_to_type(tmp_path: Path) -> None:
    settings = (*SHORT, "data.workers=2", "optim.batch_size=256", "optim.adapt=false", "hydra.run.dir=out")
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=512k tmpfs /dev/shm && exec "$@"', "sh"]
    if subprocess.run([*mount, "true"], capture_output=True, check=False).returncode:
        pytest.skip("shared memory of its own cannot be mounted")
    command = [*mount, sys.executable, str(ROOT / "src/train.py"), *settings]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert (
        "data workers ran out of shared memory (/dev/shm), where their batches lie; pass data.workers=1" in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert run_json(tmp_path / "out")["status"] == "failed"


@pytest.mark.slow
def test_a_second_run_in_a_folder_is_refused_until_the_first_dies(
    deit_train: Callable[..., Outcome], tmp_path: Path
) -> None:
    """Killed, it leaves a data worker behind for some seconds, which holds nothing."""
    settings = (*SHORT, "optim.epochs=6", "data.workers=1", "hydra.run.dir=out")
    with started(tmp_path, *settings) as process:
        wait_for((tmp_path / "out/checkpoints/last.ckpt").is_file, process)
        process.send_signal(signal.SIGSTOP)
        second = deit_train(*settings, "resume=never")
        assert second.status == 2
        assert "another process is at work on the run in " in second.said
        assert second.said.endswith("wait for it or end it, or pass another hydra.run.dir=<folder>\n")
        assert process.poll() is None
        process.kill()
    gone_on = deit_train(*settings)
    assert gone_on.status == 0, gone_on.said
    assert "resuming from" in gone_on.said


@pytest.mark.slow
def test_a_disk_that_fills_up_costs_nothing_that_was_whole(
    deit_train: Callable[..., Outcome], tmp_path: Path, small_disk: Callable[[int], SmallDisk]
) -> None:
    """With TensorBoard's events on it, and data workers that are left behind."""
    disk = small_disk(40_000)
    out = disk.folder / "out"
    settings = (*TINY, "distill=none", "optim.epochs=12", "logger=tensorboard", f"hydra.run.dir={out}")
    with started(tmp_path, *settings) as process:
        wait_for((out / "checkpoints/last.ckpt").is_file, process)
        disk.fill()
        said = process.communicate(timeout=120)[0]
    assert process.returncode == 1, said
    assert "No space left on device" in said
    assert said.count("Traceback") == 0, said
    assert said.count("train.log cannot be written") <= 1
    before = rows(out)
    assert all(row["step"] for row in before)
    json.loads((out / "run.json").read_text())
    disk.make_room()
    again = deit_train(*settings)
    assert again.status == 0, again.said
    assert [row["epoch"] for row in rows(out) if row["train/loss"]] == [str(epoch) for epoch in range(12)]


@pytest.mark.slow
def test_a_disk_that_is_only_read_and_another_for_the_run_are_no_trouble(
    deit_train: Callable[..., Outcome], tmp_path: Path, photos: Path, small_disk: Callable[[int], SmallDisk]
) -> None:
    disk = small_disk(40_000)
    moved = disk.folder / photos.name
    subprocess.run(["cp", "-r", str(photos), str(moved)], check=True)
    subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)
    outcome = deit_train(*SHORT, *of(moved), "hydra.run.dir='a run, of = \\'mine\\''", "optim.batch_size=8")
    assert outcome.status == 0, outcome.said
    assert run_json(tmp_path / "a run, of = 'mine'")["status"] == "done"
