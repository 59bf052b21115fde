"""How fast this machine does the parts of a run, each beside what it is to be compared with."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deit.benchmark import request
from deit.config import command_line, compose, preflight, processes

USAGE = """\
How fast this machine does the parts of a run, each beside what it is to be compared with.

python src/benchmark.py what=step scale=paper teacher.source=random   # any setting of src/train.py
python src/benchmark.py what=data,overhead rounds=9 seconds=2         # how often, and how long each in a round
python src/benchmark.py what=all report=docs/benchmarks.md            # and a page of all results below logs/benchmarks

what: data, step, inference, overhead, startup, or all. rounds: 5, seconds: 1 unless given.
"""

compose.register()
asked = request.taken(USAGE)


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(raw: DictConfig) -> float:
    config = compose.resolve(raw)
    processes.limit_threads(config.trainer.threads)
    from deit.benchmark.work import work  # torch is imported only once work really starts

    return work(asked, config, preflight.typed_overrides(HydraConfig.get()))


if __name__ == "__main__":
    command_line.run(main, leaves_folder=False)
