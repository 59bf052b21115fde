"""How verdicts come about and are told: whatever a check meets, the others are made."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.doctor import bank, data, request, teacher
from deit.doctor.request import Request
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Unmet, Verdict, ok, warning
from deit.doctor.work import work


def raising(error: Exception) -> Callable[[Subject], Iterator[Verdict]]:
    def check(subject: Subject) -> Iterator[Verdict]:
        yield warning("first", "half", "type this", listed=("a\x1b[31m file",))
        raise error

    return check


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (Unmet("no GPU"), 0, "not checked  data          no GPU"),
        (ConfigError("2 problems:\n  1. one"), 1, "problem      data          2 problems: 1. one"),
        (ModuleNotFoundError("No module named 'x'"), 1, "make setup"),
        (ZeroDivisionError("by zero"), 1, "the check itself failed: ZeroDivisionError: by zero"),
    ],
)
def test_what_a_check_meets_is_a_verdict_and_the_others_are_made(
    error: Exception,
    status: int,
    told: str,
    config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(data, "check", raising(error))
    monkeypatch.setattr(bank, "check", lambda subject: iter([ok("", "fine")]))
    assert work(Request(("data", "bank")), config()) == status
    said = capsys.readouterr().out
    assert told in said
    assert "warning      data          first: half; type this" in said
    assert "a?[31m file" in said, "names may be anyone's"
    assert "ok           bank          fine" in said
    assert said.splitlines()[-1].startswith("1 ok, 1 warning, 1 ")


def test_verdicts_are_kept_as_data(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(teacher, "check", lambda subject: iter([ok("loading", "fine", listed=("a",))]))
    work(Request(("teacher",), json=tmp_path / "new/doctor.json"), config())
    (kept,) = json.loads((tmp_path / "new/doctor.json").read_text())
    assert kept == {
        "what": "teacher",
        "grade": "ok",
        "subject": "loading",
        "found": "fine",
        "advice": "",
        "listed": ["a"],
    }


def test_every_check_is_a_module_of_its_name() -> None:
    folder = Path(request.__file__).parent
    assert all("def check(subject: Subject)" in (folder / f"{what}.py").read_text() for what in request.WHATS)


def test_all_problems_of_a_request_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        request.read({"what": "dta,speed", "all": "yes", "json": ""})
    for words in ("what=dta is unknown", "pass what=data", "all=yes must be true or false", "json= cannot be a file"):
        assert words in str(caught.value)
    assert request.read({}) == Request(request.WHATS)
    assert request.read({"what": "speed,data", "all": "true"}) == Request(("speed", "data"), all_images=True)
