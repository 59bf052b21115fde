"""Evaluates checkpoints head by head: accuracy, calibration, confusion, and who decides differently from whom.

python src/evaluate.py checkpoint=logs/runs/<run>                          # on the test split of its own data
python src/evaluate.py checkpoint=logs/runs/<one>,logs/runs/<other>        # compared image by image
python src/evaluate.py checkpoint=deit_small.pth data=imagenet data.root=/data/imagenet sets=val,real,v2,a,r,sketch

checkpoint: a run's folder, a .ckpt, .pth or .safetensors file, an exported folder, or timm:<name>.
sets:       test, val; of ImageNet real, v2 (or v2-matched-frequency, v2-threshold-0.7, v2-top-images), a, r, sketch.
v2, a, r, sketch: folders of these, where they do not lie beside data.root.
batch_size: images of one forward pass on a device (64).     output: folder of the results.
Settings of data and trainer are those of src/train.py; of a run what is not typed is as the run was made.
"""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deit.assessment import request
from deit.config import command_line, compose, preflight

compose.register()
typed = sys.argv[1:]
asked = request.taken(__doc__)


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(raw: DictConfig) -> None:
    config, overrides = compose.resolve(raw), preflight.typed_overrides(HydraConfig.get())
    from deit.assessment.work import evaluate  # torch is imported only once something is evaluated
    from deit.report.evaluations import write

    folder = evaluate(asked, config, overrides, typed)
    if folder is not None:
        write(folder)


if __name__ == "__main__":
    command_line.run(main, leaves_folder=False)
