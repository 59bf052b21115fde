"""What src/benchmark.py does: measure, show, keep, and write the page."""

from collections.abc import Sequence

from deit.benchmark import data_path, inference, overhead, results, startup, step, tables
from deit.benchmark.request import Request
from deit.config.schema import Config
from deit.training.trainer import refuse_missing_devices


def work(request: Request, config: Config, overrides: Sequence[str]) -> float:
    """Do what is asked, one benchmark after the other; returns how many there were.

    Raises:
        ConfigError: for mistakes that only the data could reveal, and for a page of nothing.
    """
    refuse_missing_devices(config)
    for what in request.what:
        record = measure(what, config, request, overrides).record(request, overrides)
        tables.show(record)
        tables.say(f"samples: {results.keep(record)}")
    if request.report is not None:
        tables.write_page(request.report, results.kept())
        tables.say(f"page: {request.report}")
    return float(len(request.what))


def measure(what: str, config: Config, request: Request, overrides: Sequence[str]) -> results.Result:
    """The result of one benchmark."""
    if what == "startup":
        return startup.benchmark(overrides, request)
    part = {"data": data_path, "step": step, "inference": inference, "overhead": overhead}[what]
    return part.benchmark(config, request)
