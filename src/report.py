"""The paper's tables with your runs beside them, plots, and one page that opens without a network."""

import sys

from deit.config import streams
from deit.report.files import main

USAGE = """\
The paper's tables with your runs beside them, plots, and one page that opens without a network.

python src/report.py logs/sweeps/<sweep>                                  # into logs/sweeps/<sweep>/report
python src/report.py logs/sweeps/<sweep> logs/runs output=logs/report     # several, into a folder of your choice
python src/report.py logs/sweeps/<sweep> wandb=true                       # a dashboard at Weights & Biases too

It reads run.json, config.yaml and metrics.csv of every run in or below the folders, finished or not.
"""


if __name__ == "__main__":
    streams.keep_open()
    main(sys.argv[1:], USAGE)
