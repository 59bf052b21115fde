"""Runs and sweeps with status, epoch, test/acc1 and date, a line each."""

import sys

from deit.config import streams
from deit.report.listing import main

USAGE = """\
Runs and sweeps with status, epoch, test/acc1 and date, a line each.

python src/runs.py                           # all below logs/; the jobs of a sweep are counted together
python src/runs.py logs/sweeps/<sweep>       # its jobs one by one
python src/runs.py | grep failed             # plain text

A running run says when it last wrote metrics: if that is long ago, its process is gone.
"""


if __name__ == "__main__":
    streams.keep_open()
    main(sys.argv[1:], USAGE)
