"""The paper's claims judged by runs at nano scale: tables with intervals, figures, verdicts."""

import sys

from deit.config import streams
from deit.study.work import main

USAGE = """\
The paper's claims judged by runs at nano scale: tables with intervals, figures, verdicts.

python src/study.py                        # tables and figures of docs/study.md and README.md, from docs/study/runs
python src/study.py logs/study             # of your own runs, into logs/study/study
python src/study.py logs/study keep=true   # your own runs take the place of docs/study/runs, then as the first line

`make study-runs` makes the runs from nothing.
"""


if __name__ == "__main__":
    streams.keep_open()
    main(sys.argv[1:], USAGE)
