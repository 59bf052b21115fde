"""What a job gets is said once: trainer, Hydra's launcher and submitit read it from the same place."""

from collections.abc import Callable

import pytest
from hydra import compose
from omegaconf import DictConfig

Composed = Callable[..., DictConfig]


@pytest.fixture
def composed(raw_config: Composed) -> Composed:
    """Compose conf/train.yaml with Hydra's own settings."""
    return lambda *overrides: compose("train", overrides=list(overrides), return_hydra_config=True)


def test_what_is_typed_once_reaches_trainer_and_sbatch(composed: Composed) -> None:
    typed = ("hours=12", "partition=gpu", "account=lab", "memory_gb=200", "signal_before_s=300", "max_timeouts=3")
    whole = composed("resources=slurm_2x8", "data.workers=7", *(f"resources.{one}" for one in typed))
    launcher, trainer = whole.hydra.launcher, whole.trainer
    assert (launcher.nodes, launcher.tasks_per_node, launcher.gpus_per_node) == (2, 8, 8)
    assert (trainer.num_nodes, trainer.devices, trainer.strategy) == (2, 8, "ddp")
    assert (launcher.timeout_min, launcher.partition, launcher.account, launcher.mem_gb) == (720, "gpu", "lab", 200)
    assert (launcher.signal_delay_s, launcher.max_num_timeout, launcher.cpus_per_task) == (300, 3, 8)
    assert whole.resources.name == "slurm_2x8"


@pytest.mark.parametrize(("option", "size"), [("slurm_1x1", (1, 1)), ("slurm_1x8", (1, 8)), ("slurm_2x8", (2, 8))])
def test_the_name_is_nodes_times_processes(composed: Composed, option: str, size: tuple[int, int]) -> None:
    resources = composed(f"resources={option}").resources
    assert (resources.nodes, resources.tasks_per_node) == size
    assert composed(f"resources={option}", "resources.tasks_per_node=4").resources.name == f"slurm_{size[0]}x4"


@pytest.mark.parametrize("place", ["slurm_1x8", "submitit_local"])
def test_processes_on_the_cpu_ask_for_no_gpu(composed: Composed, place: str) -> None:
    asked = (f"resources={place}", "resources.tasks_per_node=2")
    assert composed(*asked).hydra.launcher.gpus_per_node == 2
    assert composed(*asked, "trainer.accelerator=cpu").hydra.launcher.gpus_per_node is None


def test_the_group_chooses_the_launcher(composed: Composed) -> None:
    for place, launcher in (("local", "basic"), ("slurm_1x8", "submitit_slurm"), ("submitit_local", "submitit_local")):
        whole = composed(f"resources={place}")
        assert whole.hydra.runtime.choices["hydra/launcher"] == whole.resources.launcher == launcher
