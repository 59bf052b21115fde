"""A trained network for others: ONNX, torch.export, a folder in timm's layout; each is compared with it."""

import sys

from deit.config import streams
from deit.export import request

USAGE = """\
A trained network for others: ONNX, torch.export, a folder in timm's layout; each is compared with it.

python src/export.py checkpoint=logs/runs/<run> output=exports/mine                  # timm's layout, with a model card
python src/export.py checkpoint=logs/runs/<run> output=exports/mine format=all       # ONNX and torch.export too
python src/export.py checkpoint=deit_tiny.pth output=exports/tiny format=onnx preprocess=true
python src/export.py checkpoint=logs/runs/<run> output=exports/mine push=<user>/<name>     # and to the Hugging Face Hub

checkpoint: a run's folder, a .ckpt, .pth or .safetensors file, an exported folder, or timm:<name>.
format:     safetensors (timm's layout; the default), onnx, torch, all.
ema:        true, false: the averaged weights or the raw ones; unless given, those that the run chose.
preprocess: true: ONNX and torch take pixels in [0, 1]; false, the default: images that are normalised already.
push:       repository on the Hub; private=false lets everybody see one that is made anew.
overwrite:  true replaces an earlier export at output, unless a file in it was changed.
"""


if __name__ == "__main__":
    streams.keep_open()
    asked = request.taken(sys.argv[1:], USAGE)
    from deit.export.work import work  # torch is imported only once work really starts

    work(asked)
