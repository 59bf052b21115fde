"""Signals as a run hears them."""

import errno
import os
import signal

import pytest

from deit.training.preemption import Preempted, watched


def ring(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_where_nobody_can_save_a_signal_ends_the_run_at_once() -> None:
    with watched(), pytest.raises(Preempted, match="SIGUSR1") as ended:
        ring(signal.SIGUSR1)
    assert ended.value.code == 75


def test_who_can_save_hears_of_it_and_says_when(capfd: pytest.CaptureFixture[str]) -> None:
    with watched() as signals:
        signals.deferred = True
        ring(signal.SIGTERM)
        assert signals.received == signal.SIGTERM
        assert "SIGTERM: a checkpoint follows at the end of this step" in capfd.readouterr().err
        with pytest.raises(Preempted):
            signals.refuse_further()


def test_a_run_that_is_ending_is_not_disturbed_by_more_of_them() -> None:
    with watched() as signals:
        signals.deferred = True
        ring(signal.SIGUSR2)
        signals.deferred = False
        ring(signal.SIGTERM)
        ring(signal.SIGUSR2)
        assert signals.received == signal.SIGUSR2, "the first is the one that is answered"


def test_after_ctrl_c_a_second_one_is_the_systems_to_answer() -> None:
    with watched() as signals:
        signals.deferred = True
        ring(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
        with pytest.raises(Preempted) as ended:
            signals.refuse_further()
        assert ended.value.code == 130


def test_another_rank_ends_without_a_status_that_would_look_like_a_crash() -> None:
    assert Preempted(signal.SIGTERM, speaks=False).code == 0


def test_a_terminal_that_is_closed_is_a_signal_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, "the terminal is gone")

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests may run under nohup
    try:
        with watched() as signals:
            signals.deferred = True
            with monkeypatch.context() as patched:
                patched.setattr(os, "write", refuse)
                ring(signal.SIGHUP)
            assert signals.received == signal.SIGHUP
    finally:
        signal.signal(signal.SIGHUP, before)


def test_nohup_is_obeyed() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with watched() as signals:
            signals.install()
            ring(signal.SIGHUP)
            assert signals.received == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
