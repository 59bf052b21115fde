"""What src/bank.py does: build a bank, verify it, say what is in it, list all there are."""

import json
import logging
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from deit.config.errors import ConfigError
from deit.config.schema import Config
from deit.config.teaching import BankMode
from deit.data.batches import TrainBatch
from deit.data.keys import Key
from deit.data.sources import DataSet, open_dataset
from deit.distillation.bank import IDENTITY, Bank
from deit.distillation.targets import BankTargets
from deit.models.teachers import FrozenTeacher
from deit.training import banks, probe, teachers
from deit.training.plan import WIDTH
from deit.training.run import configure_torch, keyed_data, suited

log = logging.getLogger(__name__)

VERIFIED_EPOCHS = 8  # spread over the bank
CONSOLE = Console(width=None if sys.stdout.isatty() else WIDTH)


def work(action: str, config: Config) -> float:
    """Do one of the actions of src/bank.py; returns the number of answers it was about.

    Raises:
        ConfigError: without distillation there are no answers; and as `banks.targets`.
    """
    if action == "list":
        return show_all()
    if not config.distill.active:
        raise ConfigError(f"bank.py {action} needs to know for what; pass distill=hard or distill=soft")
    configure_torch(config)
    dataset = open_dataset(config.data)
    config = suited(config, dataset)
    teacher = teachers.obtain(config, dataset)
    assert teacher is not None, "the rules refuse distillation without a teacher"
    bank = banks.opened(config, dataset, teacher, must_exist=action != "build")
    return {"build": build, "verify": verify, "stats": stats}[action](config, dataset, teacher, bank)


def build(config: Config, dataset: DataSet, teacher: FrozenTeacher, bank: Bank) -> float:
    """Ask the teacher about every view of the run that has no answer yet."""
    device = probe.device_of(config)
    teacher.to(device)
    data = keyed_data(config, dataset)
    part, parts = (int(number) for number in config.distill.bank_part.split("/"))
    mine = range(config.distill.views or config.optim.epochs)[part - 1 :: parts]

    def unknown(keys: list[Key]) -> bool:
        return not bank.known(torch.tensor([key.view for key in keys]), torch.tensor([key.index for key in keys]))

    asked = BankTargets(bank, teacher, BankMode.record)
    began = time.perf_counter()
    for done, epoch in enumerate(mine, 1):
        for raw in data.epoch_loader(epoch, unknown):
            batch = data.on_after_batch_transfer(data.transfer_batch_to_device(raw, torch.device(device), 0), 0)
            assert isinstance(batch, TrainBatch)
            with probe.precision(config, device):
                asked.promise(batch.images, batch.views, batch.indices)()
        asked.commit()
        speed = asked.num_recorded / (time.perf_counter() - began)
        log.info(
            f"bank {bank.folder}: epoch {done} of {len(mine)}, {asked.num_recorded} answers, {speed:,.0f} a second"
        )
    return float(asked.num_recorded)


def verify(config: Config, dataset: DataSet, teacher: FrozenTeacher, bank: Bank) -> float:
    """Ask the teacher again about answers of several epochs; a bank that disagrees is refused."""
    device = probe.device_of(config)
    teacher.to(device)
    last = (config.distill.views or config.optim.epochs) - 1
    epochs = [round(last * i / (VERIFIED_EPOCHS - 1)) for i in range(VERIFIED_EPOCHS)]
    agreed, asked = banks.compare(bank, teacher, keyed_data(config, dataset), epochs, torch.device(device))
    CONSOLE.print(f"{agreed:.2f} % of {asked} answers are the teacher's" if asked else "no answer of these epochs")
    return float(asked)


def stats(config: Config, dataset: DataSet, teacher: FrozenTeacher, bank: Bank) -> float:
    """Say what is in the bank, and how much of an answer it keeps."""
    views = sorted(int(path.name.removeprefix("view_")) for path in bank.folder.glob("view_*"))
    known = {view: bank.num_known(view) for view in views}
    table = Table(title=str(bank.folder), show_header=False)
    answers = sum(known.values())
    table.add_row("views", f"{len(views)}")
    table.add_row("answers", f"{answers:,} of {len(views) * len(dataset.train):,}")
    table.add_row("size", _size(bank.folder))
    if answers:
        view = max(view for view, count in known.items() if count)
        named = 100 * bank.labels_named(view, dataset.train.source.labels)
        table.add_row("label named", f"{named:.2f} % of view {view}")
        if bank.top:
            kept = bank.share_kept(view)
            table.add_row("kept of an answer", f"{100 * kept:.3f} % of its probability by {bank.top} logits")
    CONSOLE.print(table)
    return float(answers)


def show_all() -> float:
    """List the banks below logs/banks."""
    table = Table("bank", "teacher", "method", "views", "size", title=str(banks.FOLDER))
    found = sorted(banks.FOLDER.glob(f"*/{IDENTITY}"))
    for path in found:
        known = json.loads(path.read_text(encoding="utf-8"))
        method = f"soft, {known['logits']} logits" if known["logits"] else "hard"
        views = len(list(path.parent.glob("view_*")))
        table.add_row(path.parent.name, str(known["teacher"]), method, str(views), _size(path.parent))
    CONSOLE.print(table if found else f"no bank below {banks.FOLDER}; python src/bank.py build distill=hard makes one")
    return float(len(found))


def _size(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6:,.1f} MB"
