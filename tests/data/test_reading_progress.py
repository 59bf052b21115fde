"""How far reading is, where no terminal draws a bar."""

import pytest

from deit.data import progress


def test_a_line_now_and_then_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SAID_EVERY", -1.0)
    assert list(progress.watched("deit on val, batches", [7, 8], 2)) == [7, 8]
    assert "deit on val, batches: 1 of 2, " in capsys.readouterr().err


def test_only_one_device_speaks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "SAID_EVERY", -1.0)
    assert list(progress.watched("deit on val", [7, 8], 2, is_shown=False)) == [7, 8]
    assert capsys.readouterr().err == ""
