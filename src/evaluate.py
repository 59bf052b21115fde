"""Evaluates checkpoints head by head: accuracy, calibration, confusion, and disagreement between networks."""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deit.assessment import request
from deit.config import command_line, compose, preflight, processes

USAGE = """Evaluates checkpoints head by head: accuracy, calibration, confusion, and disagreement between networks.

python src/evaluate.py checkpoint=logs/runs/<run>                          # the test split of its own data
python src/evaluate.py checkpoint=logs/runs/<one>,logs/runs/<other>        # compared image by image
python src/evaluate.py checkpoint=deit_small.pth data=imagenet data.root=/data/imagenet sets=val,real,v2,a,r,sketch

checkpoint: a run's folder, a .ckpt, .pth or .safetensors file, an exported folder, or timm:<name>.
sets: test, val; of ImageNet real, v2, a, r, sketch, with v2=, a=, r=, sketch=<folder> unless they lie beside data.root.
batch_size: images of one forward pass on a device. output: folder; overwrite=true replaces an evaluation in it.
Settings of data and trainer: as of src/train.py.
"""

compose.register()
typed, asked = sys.argv[1:], request.taken(USAGE)  # which takes words off


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(raw: DictConfig) -> None:
    config, overrides = compose.resolve(raw, trains=False), preflight.typed_overrides(HydraConfig.get())
    processes.limit_threads(config.trainer.threads)
    from deit.assessment.work import evaluate  # torch is imported only once something is evaluated
    from deit.report.evaluations import write

    if (folder := evaluate(asked, config, overrides, typed)) is not None:
        write(folder)


if __name__ == "__main__":
    command_line.run(main, leaves_folder=False)
