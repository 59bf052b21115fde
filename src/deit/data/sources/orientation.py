"""How the camera was held when a photograph was taken, and the photograph upright. Shapes: H, W sides in pixels.

A camera stores the rows of its sensor as they are, and says in the EXIF orientation, a number from 1 to 8, where the
top is.
"""

import warnings
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

from deit.config.image_formats import open_image

AS_STORED = 1
ON_ITS_SIDE = 5  # from this one on, height and width change places
FLIPS = {2: 1, 3: -1, 4: 0, 5: None, 6: 1, 7: -1, 8: 0}
"""What is mirrored of each orientation, where sides change places after that: 0 top and bottom, 1 left and right, -1
both (EXIF 2.32, 4.6.5)."""

# Such a block says nothing of the orientation, and the image is as good as one without.
warnings.filterwarnings("ignore", message="Corrupt EXIF data|Tag data larger than file", category=UserWarning)


def orientation(image: Image.Image) -> int:
    """The orientation that an opened image is stored in, 1 to 8; what cannot be read says nothing, which is 1."""
    try:
        found = image.getexif().get(Base.Orientation)
        return int(found) if found in FLIPS else AS_STORED
    except Exception:  # on damaged bytes PIL's readers raise nearly anything
        return AS_STORED


def orientation_of(file: str | BytesIO) -> int:
    """The same of an image file, of which the header alone is read."""
    try:
        with open_image(file) as image:
            return AS_STORED if image.format == "TIFF" else orientation(image)  # Pillow turns these when it loads them
    except Exception:  # as above; whoever decodes it has the say
        return AS_STORED


def turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """(H, W, 3) pixels upright that are stored in an ``orientation``; (W, H, 3) from 5 on."""
    if orientation >= ON_ITS_SIDE:
        pixels = np.asarray(cv2.transpose(pixels), dtype=np.uint8)
    flip = FLIPS.get(orientation)
    return pixels if flip is None else np.asarray(cv2.flip(pixels, flip), dtype=np.uint8)
