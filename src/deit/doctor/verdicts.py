"""What a check has found: verdicts, a line each. Imports no torch."""

from dataclasses import dataclass

from deit.config.values import Choice


class Grade(Choice):
    """How good it is."""

    ok = "ok"
    warning = "warning"
    """A run would work, but not as well as it could, or not for long."""
    problem = "problem"
    """A run would stop, or mean nothing."""
    not_checked = "not checked"


@dataclass(frozen=True)
class Verdict:
    """One thing that was looked at."""

    grade: Grade
    subject: str
    """What of the check; empty where it is the whole of it."""
    found: str
    """With figures."""
    advice: str = ""
    """What to type or to do."""
    listed: tuple[str, ...] = ()
    """What it is about, a line each: files, classes."""

    def line(self) -> str:
        return f"{self.subject}{': ' if self.subject else ''}{self.found}{'; ' if self.advice else ''}{self.advice}"


class Unmet(Exception):
    """A check that cannot be made, because of what an earlier one found."""


def ok(subject: str, found: str, *, listed: tuple[str, ...] = ()) -> Verdict:
    return Verdict(Grade.ok, subject, found, listed=listed)


def warning(subject: str, found: str, advice: str, *, listed: tuple[str, ...] = ()) -> Verdict:
    return Verdict(Grade.warning, subject, found, advice, listed)


def problem(subject: str, found: str, advice: str = "", *, listed: tuple[str, ...] = ()) -> Verdict:
    """``advice`` is empty where ``found`` is an error's message, which ends with it."""
    return Verdict(Grade.problem, subject, found, advice, listed)


def not_checked(subject: str, why: str, advice: str = "") -> Verdict:
    return Verdict(Grade.not_checked, subject, why, advice)
