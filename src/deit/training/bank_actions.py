"""What src/bank.py does: build a bank, verify it, say what is in it, list all there are."""

import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from deit.config.errors import ConfigError, printable
from deit.config.schema import Config
from deit.config.teacher_names import network_name
from deit.config.teaching import BankMode, KLReduction
from deit.data.batches import TrainBatch
from deit.data.keys import Key
from deit.data.packing import packed
from deit.data.sources import DataSet, open_dataset
from deit.distillation import losses
from deit.distillation.bank import Bank, CorruptAnswers
from deit.distillation.identity import IDENTITY
from deit.distillation.targets import BankTargets
from deit.models.teachers import FrozenTeacher
from deit.training import banks, probe, teachers
from deit.training.faults import explained
from deit.training.plan import WIDTH
from deit.training.run import configure_torch, keyed_data, suited

log = logging.getLogger(__name__)

VERIFIED_EPOCHS = 8  # spread over the bank
CONSOLE = Console(width=None if sys.stdout.isatty() else WIDTH)


def work(action: str, config: Config) -> float:
    """Do one of the actions of src/bank.py; returns the number of answers it was about.

    Raises:
        ConfigError: without distillation there are no answers; for a build on several devices; and as `banks.targets`.
    """
    if action == "list":
        return show_all()
    if not config.distill.active:
        raise ConfigError(f"bank.py {action} needs to know for what; pass distill=hard or distill=soft")
    if action == "build" and config.trainer.world_size > 1:
        raise ConfigError(_one_device(config))
    configure_torch(config)
    dataset = open_dataset(config.data)
    config = suited(config, dataset)
    with explained(config):
        dataset = packed(dataset, config.data)
        teacher = teachers.obtain(config, dataset)
        assert teacher is not None, "the rules refuse distillation without a teacher"
        bank = banks.opened(config, dataset, teacher, must_exist=action != "build")
        return {"build": build, "verify": verify, "stats": stats}[action](config, dataset, teacher, bank)


def build(config: Config, dataset: DataSet, teacher: FrozenTeacher, bank: Bank) -> float:
    """Ask the teacher about every view of the run that has no answer yet."""
    device = probe.device_of(config)
    teacher.to(device)
    data = keyed_data(config, dataset)
    mine = share(config)

    def unknown(keys: list[Key]) -> bool:
        views, images = torch.tensor([key.view for key in keys]), torch.tensor([key.index for key in keys])
        return not (bank.known(views, images) and _is_intact(bank, views, images))

    asked = BankTargets(bank, teacher, BankMode.record)
    began = time.perf_counter()
    for done, epoch in enumerate(mine, 1):
        for raw in data.epoch_loader(epoch, unknown):
            batch = data.on_after_batch_transfer(data.transfer_batch_to_device(raw, torch.device(device), 0), 0)
            assert isinstance(batch, TrainBatch)
            with probe.precision(config, device):
                asked.promise(batch)()
        asked.commit()
        speed = asked.num_asked / (time.perf_counter() - began)
        log.info(f"bank {bank.folder}: epoch {done} of {len(mine)}, {asked.num_asked} answers, {speed:,.0f} a second")
    return float(asked.num_asked)


def _is_intact(bank: Bank, views: Tensor, images: Tensor) -> bool:
    """Return False, and log why, if the bank has answers that must be asked for again."""
    try:
        bank.read(views, images)
    except CorruptAnswers as fault:
        log.warning(f"{fault.found}; they are asked for again now")
        return False
    return True


def share(config: Config) -> list[int]:
    """The epochs of ``distill.bank_part``. Epochs that share views (augment.repeats) stay together, so that no two
    parts write into one file."""
    part, parts = (int(number) for number in config.distill.bank_part.split("/"))
    epochs = range(config.distill.views or config.optim.epochs)
    return [epoch for epoch in epochs if epoch // config.augment.repeats % parts == part - 1]


def _one_device(config: Config) -> str:
    wanted = config.trainer.world_size
    parts = ",".join(f"{part}/{wanted}" for part in range(1, wanted + 1))
    return (
        f"bank.py build works on one device, but trainer={config.trainer.name} asks for {wanted}; pass"
        f" trainer.devices=1 trainer.num_nodes=1, with distill.bank_part={parts} -m for shares that may run side by"
        " side; or let a run record on all its devices: src/train.py with distill.bank=auto"
    )


def verify(config: Config, dataset: DataSet, teacher: FrozenTeacher, bank: Bank) -> float:
    """Compare all answers with their checksums, and some of several epochs with the teacher's; add missing checksums.

    Raises:
        CorruptAnswers: If an answer is not what was written.
        ConfigError: If the answers are not the teacher's.
    """
    without = _checked(bank)
    number = sum(bank.num_known(view) for view in without)
    CONSOLE.print(
        f"{number - sum(without.values()):,} of {number:,} answers have their checksum, and all of these agree"
    )
    agreed, asked = banks.compare(bank, _asked_again(config, dataset, teacher, bank), tau=config.distill.tau)
    CONSOLE.print(f"{agreed:.2f} % of {asked} answers are the teacher's" if asked else "no answer of these epochs")
    for view in (view for view, missing in without.items() if missing and asked):
        bank.add_checksums(view)
    return float(asked)


def _checked(bank: Bank) -> dict[int, int]:
    """Compare all stored answers with their checksums; returns by view how many have none.

    Raises:
        CorruptAnswers: Naming every view in which answers are not what was written.
    """
    without: dict[int, int] = {}
    corrupt: list[str] = []
    for view in bank.views():
        try:
            without[view] = bank.check(view)
        except CorruptAnswers as fault:
            corrupt.append(fault.found)
    if corrupt:
        raise CorruptAnswers("\n".join(corrupt))
    return without


def _asked_again(
    config: Config, dataset: DataSet, teacher: FrozenTeacher, bank: Bank
) -> Iterator[tuple[Tensor, Tensor]]:
    """The teacher's answers and the kept ones to views of several epochs; see `banks.asked_again`."""
    device = torch.device(probe.device_of(config))
    teacher.to(device)
    epochs = banks.spread(config, VERIFIED_EPOCHS)
    return banks.asked_again(config, bank, teacher, keyed_data(config, dataset), epochs, device)


def stats(config: Config, dataset: DataSet, teacher: FrozenTeacher, bank: Bank) -> float:
    """Say what is in the bank, and how much of an answer it keeps."""
    views = list(_checked(bank))
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
        if bank.kept.fields:
            top = min(config.distill.bank_logits, len(dataset.classes))
            kept = f"{100 * bank.share_kept(view):.3f} % of its probability by {top} logits"
            table.add_row("kept of an answer", kept)
            divergence, asked = _divergence(config, _asked_again(config, dataset, teacher, bank))
            said = f"{divergence:.2e} nats at temperature {config.distill.tau:g}, the mean of {asked} views"
            table.add_row("KL(teacher, replayed)", said if asked else "no answer of this run's epochs")
    CONSOLE.print(table)
    return float(answers)


def _teacher(folder: Path, known: dict[str, object]) -> str:
    """Return the bank's teacher as its folder is called, else without the tag of weights that it may not have."""
    name = str(known["teacher"])
    return name if name in folder.name else "+".join(map(network_name, name.split("+")))


def _divergence(config: Config, answers: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, int]:
    """Mean KL(teacher / tau || replayed / tau) in nats, and of how many answers."""
    tau, total, number = config.distill.tau, 0.0, 0
    for live, replayed in answers:
        loss = losses.soft_distillation(replayed, live, tau=tau, reduction=KLReduction.batchmean)
        total += float(loss) / tau**2 * len(live)
        number += len(live)
    return total / max(1, number), number


def show_all() -> float:
    """List the banks below logs/banks."""
    table = Table("bank", "teacher", "method", "views", "size", title=str(banks.FOLDER))
    found = sorted(banks.FOLDER.glob(f"*/{IDENTITY}"))
    for path in found:
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            teacher, method = (
                _teacher(path.parent, known),
                f"soft, {known['logits']} logits" if known["logits"] else "hard",
            )
        except (ValueError, RecursionError, KeyError, TypeError):
            teacher, method = f"{IDENTITY} is damaged", ""
        views = len(list(path.parent.glob("view_*")))
        cells = (path.parent.name, teacher, method, str(views), _size(path.parent))
        table.add_row(*(Text(printable(cell)) for cell in cells))
    CONSOLE.print(table if found else f"no bank below {banks.FOLDER}; python src/bank.py build distill=hard makes one")
    return float(len(found))


def _size(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 1e6:,.1f} MB"
