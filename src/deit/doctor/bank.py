"""The bank: that it is of this configuration, how much of it is there, and that the teacher still says the same."""

from collections.abc import Iterator

import torch

from deit.config.material import OnError
from deit.config.schema import Config
from deit.config.teaching import BankMode
from deit.distillation.bank import Bank
from deit.doctor.subject import Subject
from deit.doctor.verdicts import Unmet, Verdict, not_checked, ok, problem, warning
from deit.training import banks, probe
from deit.training.run import configure_torch, keyed_data

BUILD = "python src/bank.py build <the same settings>"


def check(subject: Subject) -> Iterator[Verdict]:
    """Open it as a run would, count it, ask the teacher again."""
    given = subject.given
    if not given.distill.active:
        raise Unmet("distill=none asks no teacher, so nothing is kept")
    if given.distill.bank is BankMode.off:
        raise Unmet("distill.bank=off: the teacher answers in every step; distill.bank=auto would keep its answers")
    config, teacher, dataset = subject.config, subject.teacher, subject.trained_on
    configure_torch(config)
    folder = banks.folder_of(config, dataset, teacher)
    if not folder.is_dir() and config.distill.bank is not BankMode.replay:
        yield not_checked("", f"none yet; the first run makes {folder}, or {BUILD} does")
        return
    bank = banks.opened(config, dataset, teacher, must_exist=True)
    data = keyed_data(config, dataset)
    yield filled(config, bank, data.num_train_views)
    device = torch.device(probe.device_of(config))
    teacher.to(device)
    again = banks.asked_again(config, bank, teacher, data, banks.spread(config, 2), device)
    agreed, asked = banks.compare(bank, again, tau=config.distill.tau)
    if asked:
        yield ok("answers", f"{agreed:.2f} % of {asked} are what the teacher says now")
    else:
        yield not_checked("answers", "none to the first pairs of the first and last epoch")


def filled(config: Config, bank: Bank, views_an_epoch: int) -> Verdict:
    """How many of the answers that a whole run replays are there."""
    epochs = config.distill.views or config.optim.epochs
    expected, repeats = epochs * views_an_epoch, config.augment.repeats
    # So many epochs share their views, and the last of them may be left out.
    found = sum(bank.num_known(view) for view in range(-(-epochs // repeats) * repeats))
    told = f"{bank.folder} has {found:,} of the {expected:,} answers of {epochs:,} epochs"
    if found >= expected:
        return ok("answers kept", told)
    if config.distill.bank is BankMode.replay and config.data.on_error is OnError.stop:
        return problem("answers kept", f"{told}; distill.bank=replay would stop", f"distill.bank=auto, or {BUILD}")
    return warning("answers kept", f"{told}; the teacher is asked for the rest", f"nothing, or first {BUILD}")
