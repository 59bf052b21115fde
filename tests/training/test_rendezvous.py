"""The ranks of a run find each other, or each says within a minute which address failed, and why."""

import socket
import threading
from collections.abc import Iterator

import pytest
from torch.distributed import Store

from deit.config.errors import RunError
from deit.config.execution import Trainer as Settings
from deit.training import rendezvous
from deit.training.rendezvous import NOTICE_S, RESOLVE_S, Rendezvous
from deit.training.trainer import _strategy

LOOPBACK = "127.0.0.1"


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server((LOOPBACK, 0)) as free:
        number = free.getsockname()[1]
    yield number


def test_it_is_said_within_a_minute() -> None:
    assert NOTICE_S <= 60
    assert RESOLVE_S <= 60


def test_two_ranks_meet_and_nothing_listens_on_the_network(port: int) -> None:
    met: list[Store] = []
    ranks = [Rendezvous(rank=rank, size=2, address=LOOPBACK, port=port) for rank in (1, 0)]
    threads = [threading.Thread(target=lambda one=one: met.append(one.gather()), daemon=True) for one in ranks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(met) == 2
    met[0].set("key", "value")
    assert met[1].get("key") == b"value"
    socket.create_connection((LOOPBACK, port), 5).close()
    with pytest.raises(ConnectionRefusedError):  # 127.0.0.2 is this machine too, and no address of the listener's
        socket.create_connection(("127.0.0.2", port), 5)


def test_a_name_that_does_not_resolve_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "RESOLVE_S", 0.3)
    with pytest.raises(RunError) as told:
        Rendezvous(rank=0, size=2, address="n0.invalid", port=15_000).gather()
    for words in ("MASTER_ADDR=n0.invalid", "MASTER_PORT=15000", "does not resolve", "export MASTER_ADDR=127.0.0.1"):
        assert words in str(told.value)


@pytest.mark.parametrize(("rank", "why"), [(0, "1 of 2 processes have arrived"), (1, "rank 0 does not listen there")])
def test_a_rank_that_stays_alone_says_so_and_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], port: int, rank: int, why: str
) -> None:
    monkeypatch.setattr(rendezvous, "NOTICE_S", 0.1)
    monkeypatch.setattr(rendezvous, "LIMIT_S", 0.5)
    with pytest.raises(RunError, match=why):
        Rendezvous(rank=rank, size=2, address=LOOPBACK, port=port).gather()
    said = capsys.readouterr().err
    assert said.count("\n") == 1, "once in a minute"
    assert f"rank {rank} (2 processes" in said
    assert f"MASTER_PORT={port} waits: {why}" in said


def test_a_port_of_another_program_is_told(port: int) -> None:
    with (
        socket.create_server((LOOPBACK, port)),
        pytest.raises(RunError, match=r"in use.*MASTER_PORT to a port that is"),
    ):
        Rendezvous(rank=0, size=2, address=LOOPBACK, port=port).gather()


@pytest.mark.parametrize("strategy", ["auto", "ddp", "fsdp"])
def test_one_device_makes_no_process_group(strategy: str) -> None:
    assert _strategy(Settings(name="any", accelerator="cpu", strategy=strategy)) == "auto"
