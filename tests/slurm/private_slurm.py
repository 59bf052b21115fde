"""A SLURM of the test's own on this machine: slurmctld, a slurmd for each node, munged; all on loopback, as any user.

Needs Debian's packages slurm-wlm and munge; written against SLURM 22.05.
"""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

DAEMONS = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])  # where Debian has them
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
PATIENCE = 60.0  # seconds for what takes one on an idle machine

# Credentials live 5 s, the least there is, because a requeued job waits as long before it may start again. CR_CPU, for
# otherwise a job that names no memory takes all of its node's. Names of nodes lead nowhere: jobs need MASTER_ADDR.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={root}/munge/s,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0
StateSaveLocation={root}/controller
SlurmdSpoolDir={root}/%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/%n.log
MailProg=/bin/true
SlurmdParameters=config_overrides
ReturnToService=2
EnforcePartLimits=ALL
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in NEEDED if shutil.which(name, path=DAEMONS) is None]


class PrivateSlurm:
    """A cluster within a ``with``: no daemon and no job outlives it.

    cpus: CPUs that each node says it has; nobody counts them.
    """

    def __init__(self, *, nodes: int, cpus: int) -> None:
        self.nodes = [f"n{number}" for number in range(nodes)]
        self.cpus = cpus
        # Short, for sockets lie below it: the path of one has 107 characters. munged wants it open to all.
        self.root = Path(tempfile.mkdtemp(prefix="sl", dir="/tmp"))
        self.root.chmod(0o755)
        outside = {
            name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "SRUN"))
        }
        own = {"SLURM_CONF": str(self.root / "slurm.conf"), "PATH": DAEMONS, "MASTER_ADDR": "127.0.0.1"}
        self.environment = outside | own
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "PrivateSlurm":
        try:
            self._configure()
            self._start_munged()
            self._start("slurmctld", "-D")
            for node in self.nodes:
                self._start("slurmd", "-D", "-N", node)
            self._wait(lambda: self.ask("sinfo", "-h", "-o", "%D %T") == f"{len(self.nodes)} idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """End jobs first, which outlive the daemons, then each daemon before the one that it talks to."""
        if any(name == "slurmctld" for name in self.daemons):
            self.cancel_all()
        for process in reversed(self.daemons.values()):
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def ask(self, *command: str) -> str:
        """What a command of SLURM's says; its mistakes are left to the assertion that reads it."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        return (done.stdout or done.stderr).strip()

    def fact(self, job: str, name: str) -> str:
        """What ``scontrol show job`` says under ``name``."""
        return self.ask("scontrol", "show", "job", job).split(f"{name}=")[1].split()[0]

    def signal(self, job: str, name: str) -> None:
        """Send a signal to the processes of a job, once, as SLURM does before the time is over."""
        # By the step's number: for a job of an array whose others wait, scancel takes it for failed, and repeats.
        self.ask("scancel", f"--signal={name}", f"{self.fact(job, 'JobId')}.0")

    def cancel_all(self) -> None:
        self.ask("scancel", f"--user={getpass.getuser()}")
        self._wait(lambda: not self.ask("squeue", "-h"), needs_daemons=False)

    def _configure(self) -> None:
        for folder in ("munge", "controller", *self.nodes):
            (self.root / folder).mkdir()
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(1 + len(self.nodes))]
        controller, *ports = [one.getsockname()[1] for one in sockets]
        for one in sockets:
            one.close()
        host = socket.gethostname().split(".")[0]  # what slurmctld compares with
        text = CONFIGURATION.format(host=host, port=controller, user=getpass.getuser(), root=self.root)
        for node, port in zip(self.nodes, ports, strict=True):
            text += (
                f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} State=UNKNOWN\n"
            )
        (self.root / "slurm.conf").write_text(text)

    def _start_munged(self) -> None:
        folder = self.root / "munge"
        key = folder / "key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        own = {
            "socket": folder / "s",
            "key-file": key,
            **{f"{name}-file": folder / name for name in ("pid", "log", "seed")},
        }
        self._start("munged", "-F", *(f"--{option}={path}" for option, path in own.items()))
        self._wait((folder / "s").exists)

    def _start(self, *command: str) -> None:
        name = command[0] if command[0] not in self.daemons else f"{command[0]}-{command[-1]}"
        with (self.root / f"{name}.out").open("wb") as out:
            self.daemons[name] = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C is pytest's
            )

    def _wait(self, is_so: Callable[[], bool], *, needs_daemons: bool = True) -> None:
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            for name, process in self.daemons.items():
                if needs_daemons and process.poll() is not None:
                    raise RuntimeError(f"{name} ended: {(self.root / f'{name}.out').read_text()[-2000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"SLURM did not get there within {PATIENCE:g} s")
            time.sleep(0.05)
