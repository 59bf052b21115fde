"""File formats that people keep under an image's name, told by how a file begins, and what makes an image of each."""

import struct
from collections.abc import Mapping
from typing import NamedTuple

from deit.config.errors import in_shell

FTYP = slice(4, 8)
VIDEO, TEXT, RAW = "a video", "text", "a RAW photograph"
INSTEAD = ", in place of the image"
BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
    b"crx ": RAW + " (CR3)",
}
"""Kinds of ISO media files (ISO/IEC 14496-12, 4.3) besides videos."""
BEGINNINGS = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"%PDF-", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"gimp xcf", "a GIMP document (XCF)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x1a\x45\xdf\xa3", VIDEO),
    (b"FLV\x01", VIDEO),
    (b"\x00\x00\x01\xba", VIDEO),
    (b"\x00\x00\x01\xb3", VIDEO),
    (b"OggS", "an Ogg recording"),
    (b"ID3", "an MP3 recording"),
    (b"FUJIFILMCCD-RAW", RAW + " (RAF)"),
    (b"IIRO", RAW + " (ORF)"),
    (b"IIRS", RAW + " (ORF)"),
    (b"IIU\x00", RAW + " (RW2)"),
    (b"FOVb", RAW + " (X3F)"),
    (b"\x00MRM", RAW + " (MRW)"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"BPG\xfb", "BPG"),
    (b"SIMPLE  =", "FITS"),
    (b"\x89HDF", "HDF5"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"PAR1", "a parquet table"),
    (b"SQLite format 3", "a SQLite database"),
    (b"\x00\x05\x16\x07", "metadata of macOS (AppleDouble), not an image"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE document (Thumbs.db, or of old Office)"),
    (b"\x7fELF", "a program"),
    (b"version https://git-lfs", f"a Git LFS pointer{INSTEAD}"),
    (b"/annex/objects/", f"a git-annex pointer{INSTEAD}"),
    (b"../.git/annex/", f"a git-annex pointer{INSTEAD}"),
)
COMMANDS = {
    "HEIC": ("heif-convert {file} {made}", "libheif-examples"),
    "AVIF": ("heif-convert {file} {made}", "libheif-examples"),
    "JPEG XL": ("djxl {file} {made}", "libjxl-tools"),
    "PDF": ("pdftoppm -png {file} {file}", "poppler-utils"),
    "PostScript": ("gs -dSAFER -sDEVICE=png16m -r150 -o {made} {file}", "ghostscript"),
    "SVG": ("rsvg-convert -o {made} {file}", "librsvg2-bin"),
    VIDEO: ("ffmpeg -i {file} -vf fps=1 {file}-%04d.png", "ffmpeg"),
    f"a Git LFS pointer{INSTEAD}": ("git lfs pull in its repository", "git-lfs"),
    f"a git-annex pointer{INSTEAD}": ("git annex get . in its repository", "git-annex"),
    "a zip archive": ("unzip {file} -d {file}-files", "unzip"),
    RAW: ("darktable-cli {file} {made}", "darktable"),
}
"""What to type by form, and Debian's package of the program."""
KEPT = (f"a Git LFS pointer{INSTEAD}", f"a git-annex pointer{INSTEAD}")
OTHER_COMMAND = ("magick {file} {made}", "imagemagick")
CONVERTED = ("a Photoshop", "a GIMP", "OpenEXR", "Radiance", "DDS", "QOI", "FITS", "TIFF")
ARCHIVED = 257  # where tar says what it is
LOOKED_AT = 4096  # bytes from which text is told


class Form(NamedTuple):
    """What a file is, and what to do about it."""

    name: str
    advice: str

    @property
    def whatever(self) -> str:
        """Words for a file that is named as if it were an image; none where its content is not what it was."""
        return "" if INSTEAD in self.name else ", whatever its name says"

    @classmethod
    def of(cls, name: str, file: str) -> "Form":
        """The form of a ``name``; file: its path, for what is to be typed."""
        return cls(name, _advice(name, file))


def form_of(content: bytes, file: str) -> Form | None:
    """Return what ``content`` is if it is none of the formats that are read, or None if that is not known.

    file: Its path, for what is to be typed.
    """
    name = _name(content)
    return None if name is None else Form.of(name, file)


def is_raw(content: bytes) -> bool:
    """Return True for a TIFF that says in its header that it is a RAW photograph of Canon's."""
    return content[:4] in (b"II*\x00", b"MM\x00*") and content[8:10] == b"CR"


def is_raw_by(tags: Mapping[int, object]) -> bool:
    """Return True if a TIFF's tags are those of a RAW photograph, which shows a small preview in the first place.

    Tag 254 says that the first image is a reduced one, 330 where the others are, 50706 is DNG's version.
    """
    return tags.get(50706) is not None or (tags.get(254) == 1 and tags.get(330) is not None)


def _name(content: bytes) -> str | None:
    if content[FTYP] == b"ftyp":
        return _media(content)
    if content[:4] == b"RIFF" and content[8:12] in (b"AVI ", b"WAVE"):
        return VIDEO if content[8:12] == b"AVI " else "a WAVE recording"
    if is_raw(content):
        return f"{RAW} (CR2)"
    if (known := next((name for begin, name in BEGINNINGS if content.startswith(begin)), None)) is not None:
        return known
    if content[ARCHIVED : ARCHIVED + 5] == b"ustar":
        return "a tar archive"
    if content[128:132] == b"DICM":
        return "DICOM"
    if content and not content.strip(b"\x00"):
        return "nothing but zero bytes, as a crash or an interrupted copy leaves"
    return _text(content[:LOOKED_AT])


def _media(content: bytes) -> str:
    """Return the kind of an ISO media file by its brands: the major one, then those that it is compatible with."""
    (size,) = struct.unpack(">I", content[:4])
    brands = [content[at : at + 4] for at in (8, *range(16, min(size, 256), 4))]
    major = BRANDS.get(brands[0])
    if major == "HEIC" and brands[0] in (b"mif1", b"msf1") and {b"avif", b"avis"} & set(brands):
        return "AVIF"  # the still picture of either codec
    return major or next((BRANDS[brand] for brand in brands if brand in BRANDS), VIDEO)


def _text(beginning: bytes) -> str | None:
    try:
        text = beginning.decode("utf-16" if beginning[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig").lstrip()
    except UnicodeDecodeError as error:
        if error.start < len(beginning) - 4 or not error.start:  # a letter that was cut off is no other form
            return None
        text = beginning[: error.start].decode("utf-8-sig").lstrip()
    small = text.lower()
    if "<svg" in small:
        return "SVG"
    if small.startswith(("<!doctype html", "<html", "<head", "<body", "<!--", "<script")):
        return f"a web page (HTML){INSTEAD}"
    if small.startswith("<?xml"):
        return "XML"
    if not all(letter.isprintable() or letter.isspace() for letter in text):
        return None
    return "JSON" if small.startswith(("{", "[")) else TEXT


def _advice(name: str, file: str) -> str:
    kind = RAW if name.startswith(RAW) else name
    if kind not in COMMANDS and not name.startswith(CONVERTED):
        return "fetch the image again, or remove the file"
    command, package = COMMANDS.get(kind, OTHER_COMMAND)
    typed = command.format(file=in_shell(file), made=in_shell(f"{file}.png"))
    return f"type {typed} (Debian's package {package}){'' if kind in KEPT else ', and remove it'}"
