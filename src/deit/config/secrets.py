"""Keys and passwords do not belong into a configuration, which is kept beside what it led to."""

import re
from collections.abc import Iterator

from omegaconf import DictConfig, OmegaConf

NAMED_SO = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)


def problems(config: DictConfig) -> Iterator[str]:
    """Yield each variable of ``hydra.job.env_set`` that looks like a secret: a sweep keeps it in multirun.yaml."""
    for name in config.hydra.job.env_set:
        if NAMED_SO.search(str(name)) and not OmegaConf.is_interpolation(config.hydra.job.env_set, name):
            yield (
                f"hydra.job.env_set.{name} looks like a secret, which a sweep would keep in multirun.yaml; jobs have"
                f" the environment that they start from: type export {name}=<value>, and leave it out of"
                " hydra.job.env_set and hydra.job.env_copy"
            )
