"""What is installed: bounds that shut out bad releases, a lock with hashes for every system, an audit that is seen."""

import importlib.util
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements-lock.txt").read_text()
BROUGHT_BY_TORCH = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*")


def requirements() -> list[Requirement]:
    """Every dependency in pyproject.toml, of the extras too."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    return [Requirement(entry) for entries in lists for entry in entries]


def locked() -> dict[str, list[str]]:
    """Versions by package."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"(?m)^([A-Za-z0-9._-]+)==([^ \\;]+)", LOCK):
        found.setdefault(name, []).append(version)
    return found


def test_every_dependency_has_a_lower_bound() -> None:
    assert len(requirements()) > 25
    assert [str(one) for one in requirements() if ">=" not in str(one.specifier)] == []


@pytest.mark.parametrize("version", ["2.6.2", "2.6.3"])
def test_releases_of_lightning_that_were_malware_are_shut_out(version: str) -> None:
    (lightning,) = (one for one in requirements() if one.name == "lightning")
    assert not lightning.specifier.contains(version)


def test_the_lock_holds_every_dependency_within_its_bounds() -> None:
    versions = locked()
    for one in requirements():
        if not BROUGHT_BY_TORCH.fullmatch(one.name):
            assert one.name in versions, f"{one.name}: make lock"
            assert all(one.specifier.contains(version) for version in versions[one.name]), f"{one}: make lock"


def test_the_lock_has_a_hash_for_everything_and_names_no_place() -> None:
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", LOCK)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|--index|--find-links|file:", LOCK)


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_the_lock_has_one_release_of_every_dependency_for_each_python(python: str) -> None:
    assert python in SpecifierSet(PROJECT["requires-python"])
    system = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    entries = [line for line in LOCK.splitlines() if line[:1].isalnum()]
    lines = [Requirement(entry.removesuffix(" \\")) for entry in entries]
    chosen = Counter(one.name for one in lines if one.marker is None or one.marker.evaluate(system))
    wanted = {one.name for one in requirements() if one.marker is None or one.marker.evaluate(system)}
    assert {name for name in wanted if not BROUGHT_BY_TORCH.fullmatch(name)} <= set(chosen), "make lock"
    assert set(chosen.values()) == {1}


def test_the_lock_is_resolved_for_the_oldest_python_too() -> None:
    assert re.search(r"(?m)^numpy==2\.2\.\d+ ; python_full_version < '3\.11'", LOCK), "2.2 is the last for Python 3.10"


def test_torch_is_not_locked_for_it_differs_by_machine() -> None:
    assert [name for name in locked() if BROUGHT_BY_TORCH.fullmatch(name)] == []


@pytest.fixture
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci/audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_audit_that_asked_nobody_does_not_say_that_all_is_well(audit: ModuleType) -> None:
    skipped = {"name": "a", "skip_reason": "Dependency not found"}
    clean, bad = ({"name": name, "version": "1", "vulns": vulns} for name, vulns in (("b", []), ("c", [VULNERABILITY])))
    assert "NOT CHECKED" in audit.said({"dependencies": [skipped]})
    assert audit.said({"dependencies": [clean]}) == "audit: 1 packages; no known vulnerability"
    assert audit.said({"dependencies": [skipped, clean, bad]}) == (
        "audit: 2 packages, 1 more NOT CHECKED; 1 KNOWN VULNERABILITIES: c 1: CVE-1 (mended in 2)"
    )


VULNERABILITY = {"id": "CVE-1", "fix_versions": ["2"], "aliases": [], "description": ""}
