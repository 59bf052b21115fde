"""Process group of a run on several devices: its ranks find each other, or an error names the address that failed."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy
from torch import device, distributed
from torch.distributed import Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from deit.config.errors import RunError

LOOPBACK = "127.0.0.1"
NOTICE_S = 30.0  # after which a waiting rank reports; importing torch on a busy machine takes some of them
NOTICE_AGAIN_S = 60.0
RESOLVE_S = 20.0  # for the name of the first node: name servers fail for moments
LIMIT_S = 600.0  # for the last rank to arrive
CONNECT_S = 5.0
POLL_S = 0.1
ARRIVED = "arrived"  # key of the store that counts ranks


class Rendezvous:
    """The meeting of a run's ranks at a store that rank 0 serves.

    Every wait is a loop in Python, so that a signal ends it, and reports after ``NOTICE_S`` what is missing.

    Args:
        rank: The rank of this process.
        size: Processes of the run.
        address: ``MASTER_ADDR``, where rank 0 listens.
        port: ``MASTER_PORT``.
    """

    def __init__(self, *, rank: int, size: int, address: str, port: int) -> None:
        self.rank, self.size, self.address, self.port = rank, size, address, port
        self._began, self._next_notice_s = time.monotonic(), NOTICE_S

    def gather(self) -> Store:
        """Return the store once all ranks have arrived there.

        Raises:
            RunError: If the address does not resolve, the port is taken, or a rank is missing after ``LIMIT_S``.
        """
        self._wait_until(self._resolves, "the name does not resolve", RESOLVE_S)
        if self.rank:
            self._wait_until(self._is_served, "rank 0 does not listen there, or a firewall is between", LIMIT_S)
        try:
            store = self._store()
        except (RuntimeError, OSError) as error:  # torch's own errors of the network are RuntimeErrors
            raise self.failed(error) from error
        arrived = store.add(ARRIVED, 1)
        while arrived < self.size:
            self._report_or_fail(f"{arrived} of {self.size} processes have arrived", LIMIT_S)
            time.sleep(POLL_S)
            arrived = store.add(ARRIVED, 0)
        return store

    def failed(self, why: object) -> RunError:
        """Return the error of a rendezvous that failed."""
        first_line = (str(why).strip().splitlines() or [type(why).__name__])[0]
        return RunError(
            f"{self._place} failed: {first_line}. Set MASTER_ADDR to an address of the first node that all nodes reach"
            f" (export MASTER_ADDR={LOOPBACK} if there is one node), and MASTER_PORT to a port that is free there."
        )

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Report if the block, which waits in C++, takes long, and turn its error into a `RunError`."""
        notice = threading.Timer(NOTICE_S, self._write, ["all processes have arrived and do not connect"])
        notice.daemon = True
        notice.start()
        try:
            yield
        except RuntimeError as error:
            raise self.failed(error) from error
        finally:
            notice.cancel()

    @property
    def _place(self) -> str:
        return (
            f"rendezvous of rank {self.rank} ({self.size} processes, {socket.gethostname()}) at"
            f" MASTER_ADDR={self.address} MASTER_PORT={self.port}"
        )

    def _resolves(self) -> bool:
        try:
            return bool(socket.getaddrinfo(self.address, self.port, type=socket.SOCK_STREAM))
        except socket.gaierror:
            return False

    def _is_served(self) -> bool:
        try:
            socket.create_connection((self.address, self.port), CONNECT_S).close()
        except OSError:
            return False
        return True

    def _store(self) -> TCPStore:
        listening = None
        if self.rank == 0 and self.address in (LOOPBACK, "localhost"):  # unless told, the store listens everywhere
            listening = socket.create_server((LOOPBACK, self.port)).detach()
        return TCPStore(
            self.address,
            self.port,
            world_size=self.size,
            is_master=self.rank == 0,
            timeout=timedelta(seconds=LIMIT_S),
            wait_for_workers=False,
            master_listen_fd=listening,
        )

    def _wait_until(self, is_so: Callable[[], bool], otherwise: str, limit_s: float) -> None:
        while not is_so():
            self._report_or_fail(otherwise, limit_s)
            time.sleep(POLL_S)

    def _report_or_fail(self, missing: str, limit_s: float) -> None:
        waited_s = time.monotonic() - self._began
        if waited_s > limit_s:
            raise self.failed(f"{missing} after {waited_s:.0f} s")
        if waited_s > self._next_notice_s:
            self._next_notice_s = waited_s + NOTICE_AGAIN_S
            self._write(f"{missing} after {waited_s:.0f} s")

    def _write(self, missing: str) -> None:
        """Write to stderr: only rank 0 has a log."""
        sys.stderr.write(f"{self._place} waits: {missing}\n")
        sys.stderr.flush()


def open_group(environment: ClusterEnvironment, backend: str, root: device, *, one_machine: bool) -> None:
    """Open the default process group, unless it is open; Lightning then uses this one.

    one_machine: All ranks run here, so that nothing has to listen on the network.

    Raises:
        RunError: If the ranks do not find each other.
    """
    if distributed.is_initialized():
        return
    if one_machine:
        os.environ.setdefault("MASTER_ADDR", LOOPBACK)  # the name of this machine may not resolve
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
    rank, size = environment.global_rank(), environment.world_size()
    meeting = Rendezvous(rank=rank, size=size, address=environment.main_address, port=environment.main_port)
    # torchrun's agents have met before they start a process, and serve a store themselves.
    store = None if TorchElasticEnvironment.detect() else meeting.gather()
    with meeting.reported():
        on_gpu = None if root.type == "cpu" else root
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, device_id=on_gpu)


class DDP(DDPStrategy):
    """Lightning's DDP with our rendezvous."""

    def setup_distributed(self) -> None:
        _open_group_of(self)
        super().setup_distributed()


class FSDP(FSDPStrategy):
    """Lightning's FSDP with our rendezvous."""

    def setup_environment(self) -> None:
        assert self.accelerator is not None
        self.accelerator.setup_device(self.root_device)
        _open_group_of(self)
        super().setup_environment()


def _open_group_of(strategy: DDPStrategy | FSDPStrategy) -> None:
    assert strategy.cluster_environment is not None
    strategy.set_world_ranks()
    backend = strategy._get_process_group_backend()
    open_group(strategy.cluster_environment, backend, strategy.root_device, one_machine=strategy.num_nodes == 1)
