"""The installation: packages against the project's bounds, whether they work, and the machine below them."""

import importlib
import os
import platform
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from deit.config.schema import Config
from deit.doctor import machine
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Verdict, not_checked, ok, problem, warning

KNOWN_BAD = {
    name: {
        release: "malware: it read credentials; make the environment anew and replace every key this machine had"
        for release in ("2.6.2", "2.6.3")
    }
    for name in ("lightning", "pytorch-lightning")
}
EXTRAS = {"hf": "data=hf", "dashboard": "src/report.py wandb=true"}  # and who needs them
SPOKEN_OF = ("torch", "lightning", "timm", "hydra-core", "pillow")


def check(subject: Subject) -> Iterator[Verdict]:
    """Look at Python, at what the project requires, at what it can do without, and at the machine."""
    yield from python_packages(subject.given)
    yield from machine.verdicts(subject.given)


def python_packages(config: Config) -> Iterator[Verdict]:
    """Python itself and the packages."""
    try:
        required = [Requirement(line) for line in metadata.requires("deit") or []]
        python = metadata.metadata("deit")["Requires-Python"]
    except metadata.PackageNotFoundError:
        yield problem("deit", "it is not installed", "make setup, then .venv/bin/python src/doctor.py")
        return
    release = platform.python_version()
    if SpecifierSet(python).contains(release, prereleases=True):
        yield ok("Python", f"{release}, of {python}")
    else:
        yield problem("Python", f"{release}, not of {python}", "make clean setup PYTHON=python3.11")
    yield from required_ones([one for one in required if one.marker is None or one.marker.evaluate({"extra": ""})])
    if bad := list(known_bad()):
        yield from bad
        return  # nothing of it is imported
    yield from working()
    for extra, needed_by in EXTRAS.items():
        yield optional(extra, needed_by, [one for one in required if one.marker and "extra" in str(one.marker)])
    yield of_wandb(config)


def installed(name: str) -> str | None:
    """The release of a package; None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def required_ones(requirements: list[Requirement]) -> Iterator[Verdict]:
    """Compare releases with the bounds of ``requirements``: one verdict for all that are right, one for each other."""
    right = 0
    for one in requirements:
        found = installed(one.name)
        if found is not None and one.specifier.contains(found, prereleases=True):
            right += 1
            continue
        yield problem(one.name, f"{found or 'not installed'}, not of {one.specifier}", f"pip install '{one}'")
    named = ", ".join(f"{name} {found}" for name in SPOKEN_OF if (found := installed(name)))
    yield ok("packages", f"{right} of {len(requirements)} within their bounds ({named})")


def known_bad() -> Iterator[Verdict]:
    """Releases that must not be used, whatever bounds allow them; another distribution may have brought them."""
    for name, releases in KNOWN_BAD.items():
        if (found := installed(name)) in releases:
            yield problem(name, f"{found} is known to be bad", releases[found])


def working() -> Iterator[Verdict]:
    """What imports, though its release is right: torchvision that goes with torch, numba that can keep its work."""
    for name in ("torch", "torchvision", "timm", "lightning"):
        try:
            importlib.import_module(name)
        except Exception as error:  # libraries that do not go together raise nearly anything
            told = str(error).partition("\n")[0]
            yield problem(name, f"cannot be imported ({type(error).__name__}: {told})", "make clean setup")
            return
    from deit.data.pixels.warps import kernels

    if kernels is None:
        yield warning("numba", "not installed: OpenCV turns images, a little softer", "pip install numba")
        return
    kept = kernels.shift_rows.stats.cache_path  # pyright: ignore[reportFunctionMemberAccess] - numba's
    if kept is None:
        yield warning("numba", "its loops are compiled anew in each process", "NUMBA_CACHE_DIR=<a folder to write to>")
    else:
        yield ok("numba", f"compiled loops are kept in {kept}")


def optional(extra: str, needed_by: str, requirements: list[Requirement]) -> Verdict:
    """What ``extra`` would install."""
    own = [one for one in requirements if one.marker and one.marker.evaluate({"extra": extra})]
    missing = [one.name for one in own if installed(one.name) is None]
    if missing or not own:
        return not_checked(
            f"{extra} (optional)", f"not installed, only {needed_by} needs it", f"pip install -e .[{extra}]"
        )
    return ok(f"{extra} (optional)", ", ".join(f"{one.name} {installed(one.name)}" for one in own))


def of_wandb(config: Config) -> Verdict:
    """Whether Weights & Biases would be reached, and whether that matters."""
    if not config.logger.wandb.enabled:
        return not_checked("Weights & Biases", "runs of this configuration do not log there", "logger=wandb")
    mode = os.environ.get("WANDB_MODE", "online")
    if mode != "online":
        return ok("Weights & Biases", f"WANDB_MODE={mode}")
    import wandb  # the slowest import of all

    if wandb.login(prompt=False, verify=False):
        return ok("Weights & Biases", f"wandb {wandb.__version__} has a key")
    return warning("Weights & Biases", "no key: runs are kept offline and synced later", "wandb login")
