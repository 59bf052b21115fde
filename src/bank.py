"""A teacher's answers, stored once and replayed by every student: distill.bank=auto|replay."""

import hydra
from omegaconf import DictConfig

from deit.config import command_line, compose, processes
from deit.launch.own_data import settled

USAGE = """\
A teacher's answers, stored once and replayed by every student: distill.bank=auto|replay.

python src/bank.py build distill=hard teacher=regnety_160                          # any setting of src/train.py
python src/bank.py build distill=hard distill.bank_part=1/4,2/4,3/4,4/4 -m         # four shares of the epochs
python src/bank.py verify distill=hard                                             # asks the teacher again
python src/bank.py stats distill=hard
python src/bank.py list
"""

compose.register()
ACTIONS = ("build", "verify", "stats", "list")
action = command_line.take_action(ACTIONS, USAGE)


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(raw: DictConfig) -> float:
    config = compose.resolve(settled(raw))
    processes.limit_threads(config.trainer.threads)
    from deit.training.bank_actions import work  # torch is imported only once work really starts

    return work(action, config)


if __name__ == "__main__":
    command_line.run(main, leaves_folder=False)
