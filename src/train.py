"""Train a teacher, a student, or a student distilled from a teacher.

python src/train.py                                                     # digits at nano scale
python src/train.py model=deit_ti distill=hard teacher=regnety_160 -m   # the same as a sweep
python src/train.py --help                                              # groups, options, every key
"""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deit.config import command_line, compose, preflight, processes
from deit.launch.own_data import settled
from deit.launch.process import isolated_job

compose.register()


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(raw: DictConfig) -> float:
    preflight.refuse_drift(raw)
    config = compose.resolve(settled(raw))
    if config.plan:
        processes.limit_threads(config.trainer.threads)
        from deit.training.plan import show

        return show(config)
    with isolated_job(threads=config.trainer.threads):
        from deit.training.run import train  # torch is imported only once a run really starts

        return train(config, Path(HydraConfig.get().runtime.output_dir), preflight.typed_overrides(HydraConfig.get()))


if __name__ == "__main__":
    command_line.run(main)
