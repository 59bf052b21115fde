"""Which builder of a bank makes which epochs, and how banks are listed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from deit.config.schema import Config
from deit.data.sources import open_dataset
from deit.training import bank_actions
from deit.training.bank_actions import share
from deit.training.run import keyed_data


@pytest.mark.parametrize("order", ["keyed", "official"])
@pytest.mark.parametrize(("repeats", "views"), [(1, "null"), (3, "null"), (3, 9)])
def test_no_two_parts_of_a_bank_write_into_one_view(
    config: Callable[..., Config], repeats: int, views: int | str, order: str
) -> None:
    settings = (
        "data.train_fraction=0.1", "optim.epochs=20", f"augment.repeats={repeats}", f"augment.order={order}",
        f"distill.views={views}",
    )  # fmt: skip
    dataset = open_dataset(config(*settings).data)
    written: list[set[int]] = []
    epochs: list[int] = []
    for part in (1, 2, 3):
        mine = config(*settings, f"distill.bank_part={part}/3")
        data = keyed_data(mine, dataset)
        loaders = [data.epoch_loader(epoch, lambda keys: True) for epoch in share(mine)]
        written.append({key.view for loader in loaders for keys in loader.batch_sampler for key in keys})
        epochs += share(mine)
    assert sorted(epochs) == list(range(20 if views == "null" else 9))
    assert len(set.union(*written)) == sum(len(part) for part in written), "no view twice"
    assert all(written)


@pytest.mark.parametrize("text", [b"\x80\x04.", b"[]", b"{", b'{"teacher": "x"}', b"[" * 100_000])
def test_a_damaged_bank_is_listed_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in (("a", text), ("b", b'{"teacher": "[red]\\u001b[2Jx", "logits": 0}')):
        (tmp_path / "logs/banks" / name).mkdir(parents=True)
        (tmp_path / "logs/banks" / name / "identity.json").write_bytes(content)
    monkeypatch.setattr(bank_actions, "CONSOLE", Console(width=120))
    assert bank_actions.show_all() == 2
    said = capsys.readouterr().out
    assert "identity.json is damaged" in said
    assert "[red]?[2Jx" in said
