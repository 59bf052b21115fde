"""The devices: what they are, that they compute, and that several can add up."""

import shutil
from collections.abc import Iterator

import torch
from torch import distributed

from deit.config.errors import ConfigError, RunError
from deit.doctor.collective import bandwidth
from deit.doctor.machine import num_cores
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Verdict, not_checked, ok, problem, warning
from deit.evaluation.throughput import device_name, repeated
from deit.training.probe import DTYPES
from deit.training.trainer import refuse_missing_devices

SIDE = {"cpu": 512, "cuda": 8192}  # of the matrices: large enough for the peak on a GPU
BF16_FROM = (8, 0)  # compute capability; older GPUs have it emulated, slower than float32
LARGEST_ERROR = 0.02  # of a product, relative: bfloat16 has 8 bits, and errors of its sums mostly cancel


def check(subject: Subject) -> Iterator[Verdict]:
    """Look at the processor and every GPU, then let them sum."""
    config = subject.given
    yield ok("CPU", f"{device_name('cpu')}, {num_cores():g} cores for this process, {speed('cpu', torch.float32)}")
    yield from gpus(DTYPES.get(config.trainer.precision, torch.float32))
    try:
        refuse_missing_devices(config)
    except ConfigError as error:
        yield problem("trainer", str(error))
    yield together()


def gpus(dtype: torch.dtype) -> Iterator[Verdict]:
    """Every GPU that PyTorch sees, at work in ``dtype``, or why it may see none."""
    if not torch.cuda.device_count():
        yield _without()
        return
    yield ok("CUDA", f"PyTorch {torch.__version__} is built for {torch.version.cuda}")
    for number in range(torch.cuda.device_count()):
        yield gpu(number, dtype)


def gpu(number: int, dtype: torch.dtype) -> Verdict:
    """What a GPU is, and whether it computes."""
    made, subject = torch.cuda.get_device_properties(number), f"GPU {number}"
    told = f"{made.name}, {made.total_memory / 1e9:.0f} GB, compute capability {made.major}.{made.minor}"
    try:
        with torch.cuda.device(number):
            free = torch.cuda.mem_get_info()[0]
            told += f", {speed('cuda', dtype)} in {str(dtype).removeprefix('torch.')}"
    except RuntimeError as error:
        first = str(error).partition("\n")[0]
        return problem(subject, f"{told}, cannot compute ({first})", "install a torch that is built for it")
    if dtype is torch.bfloat16 and (made.major, made.minor) < BF16_FROM:
        return warning(subject, f"{told}; it has no bfloat16 of its own", "pass trainer.precision=16-mixed")
    if free < made.total_memory / 2:
        return warning(subject, f"{told}; only {free / 1e9:.1f} GB are free", "nvidia-smi shows who has the rest")
    return ok(subject, f"{told}, {free / 1e9:.0f} GB free")


def _without() -> Verdict:
    if torch.backends.mps.is_available():
        return ok("GPU", "Apple's, by Metal")
    if shutil.which("nvidia-smi") is None:
        return ok("GPU", "none here; trainer=cpu needs none")
    built = f"is built for CUDA {torch.version.cuda}" if torch.version.cuda else "is built without CUDA"
    advice = "install a torch of the CUDA that nvidia-smi shows, and look at CUDA_VISIBLE_DEVICES"
    return warning("GPU", f"there is nvidia-smi, but PyTorch {torch.__version__} {built} and sees none", advice)


def speed(device: str, dtype: torch.dtype) -> str:
    """Floating-point operations a second of a product of matrices, which must be right.

    Raises:
        RuntimeError: if it is not.
    """
    one, other = (torch.randn(SIDE[device], SIDE[device], device=device, dtype=dtype) for _ in range(2))
    product = (one @ other)[0].double()
    exact = one[0].double() @ other.double()
    if not float((product - exact).norm() / exact.norm()) < LARGEST_ERROR:
        raise RuntimeError("a product of matrices is wrong")
    seconds = repeated(lambda: one @ other, device, seconds=0.1).wall
    return f"{2 * SIDE[device] ** 3 / seconds / 1e9:,.0f} GFLOP/s"


def together() -> Verdict:
    """A sum over all GPUs, or where there are none or one, over two processes of the CPU, as trainer=ddp makes it."""
    count = torch.cuda.device_count()
    if not distributed.is_available():
        return not_checked("sums over devices", "this PyTorch is built without torch.distributed")
    backend, processes = ("nccl", count) if count > 1 and distributed.is_nccl_available() else ("gloo", 2)
    try:
        speed = bandwidth(backend, processes)
    except RunError as error:
        more = "NCCL_DEBUG=INFO python src/doctor.py what=devices says more" if backend == "nccl" else ""
        return problem(
            f"sum over devices ({backend})", str(error), more or "GLOO_SOCKET_IFNAME=lo, if it is the network"
        )
    told = f"{processes} {'GPUs' if backend == 'nccl' else 'CPU processes'} at {speed / 1e9:.2f} GB/s"
    return ok(f"sum over devices ({backend})", told)
