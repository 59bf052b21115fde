"""What a trained network says of photographs, head by head, and where it looks."""

import sys

from deit.config import streams
from deit.prediction.request import taken

USAGE = """\
What a trained network says of photographs, head by head, and where it looks.

python src/predict.py checkpoint=logs/runs/<run> images=photo.jpg                   # a table of the five best classes
python src/predict.py checkpoint=logs/runs/<run> images=photos attention=true       # and pictures of its attention
python src/predict.py checkpoint=deit.pth images='photos/*.png' top=3 output=predictions.csv
find photos -name '*.jpg' | python src/predict.py checkpoint=logs/runs/<run> teacher=true format=json

checkpoint: a run's folder, a .ckpt, .pth or .safetensors file, an exported folder, or timm:<name>.
images: files, folders, patterns with commas between; from a pipe, a path a line or one image.
teacher: true for the run's own, or whatever checkpoint may be. format: table, json, csv. output: a file.
overwrite: true replaces an output that exists. attention: pictures in overlays=logs/attention/<checkpoint>_<images>.
top=5, batch=32, device=auto|cpu|cuda|mps.
upright: true turns photographs as their EXIF says, false does not; left out, as the network was trained.
ema=true|false: of checkpoints with averaged weights.
Exit status: 0 if every image was read, 1 if one could not be, 2 for wrong input.
"""


if __name__ == "__main__":
    streams.keep_open()
    asked = taken(sys.argv[1:], USAGE)
    from deit.prediction.work import work  # torch is imported only once work really starts

    raise SystemExit(work(asked))
