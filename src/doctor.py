"""Checks what a run needs before it starts: a verdict a line, and what to type where something is wrong."""

import hydra
from omegaconf import DictConfig

from deit.config import command_line, compose, processes
from deit.doctor import request
from deit.launch.own_data import settled

USAGE = """\
Checks what a run needs before it starts: a verdict a line, and what to type where something is wrong.

python src/doctor.py                                               # the installation and what the defaults name
python src/doctor.py data=folder data.root=photos distill=none     # any setting of src/train.py
python src/doctor.py what=data all=true data=folder data.root=photos     # decodes every image, not some thousands
python src/doctor.py what=memory,speed json=doctor.json            # chosen checks, kept as data too

what: installation, data, teacher, bank, devices, signals, memory, speed; all that apply unless given.
Exit status: 0 if no problem was found, 1 if one was, 2 for wrong input.
"""

compose.register()
asked = request.taken(USAGE)


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(raw: DictConfig) -> None:
    config = compose.resolve(settled(raw, measures=False))
    processes.limit_threads(config.trainer.threads)
    from deit.doctor.work import work  # torch is imported only by the checks that need it

    raise SystemExit(work(asked, config))


if __name__ == "__main__":
    command_line.run(main, leaves_folder=False)
