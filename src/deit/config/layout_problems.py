"""Problems of a folder that was named as a dataset of class folders, each with what to type."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from deit.config import imagenet_forms
from deit.config.errors import in_shell, visible
from deit.config.image_files import IMAGE_SUFFIXES, holds_images, identity, images_in, other_files, subfolders
from deit.config.layout import class_folders, class_names, folders_by_name, split_folders
from deit.config.split_names import splits_named

ARCHIVES = {
    ".zip": "unzip {file} -d {folder}",
    ".tar": "mkdir {folder} && tar xf {file} -C {folder}",
    ".tgz": "mkdir {folder} && tar xf {file} -C {folder}",
    ".tar.gz": "mkdir {folder} && tar xf {file} -C {folder}",
    ".tar.bz2": "mkdir {folder} && tar xf {file} -C {folder}",
    ".tar.xz": "mkdir {folder} && tar xf {file} -C {folder}",
    ".7z": "7z x {file} -o{folder}",
    ".rar": "mkdir {folder} && unrar x {file} {folder}/",
}
"""How archives become folders."""
SHOWN = 5  # folders named in a message


def folder_problems(root: str, *, need_splits: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield what keeps ``root`` from being a dataset of class folders.

    Args:
        root: The folder that the user named.
        need_splits: Splits that must have a folder of their own: ImageNet's train and val.
    """
    if need_splits and (form := imagenet_forms.problem(Path(root), need_splits)) is not None:
        yield form
        return
    if not Path(root).is_dir():
        yield f"data.root={visible(root)} {_no_folder(Path(root))}"
        return
    if ambiguous := list(_same_split(root) if need_splits else _ambiguities(root)):
        yield from ambiguous
        return
    present = split_folders(root)
    for split in need_splits:
        if split not in present:
            wanted = " and ".join(need_splits)
            yield f"data.root={visible(root)} has no folder {split}/; pass data.root=<folder that holds {wanted}>"
    # Where splits are prescribed, others are none of our business: ImageNet's test/ has no classes.
    present = {split: folder for split, folder in present.items() if not need_splits or split in need_splits}
    expected = class_names(root, ("train", *need_splits))
    for split, folder in (present or ({} if need_splits else {"": Path(root)})).items():
        yield from _split_problems(folder, expected, split)


def _no_folder(path: Path) -> str:
    kind = "is a file" if path.exists() else "does not exist"
    suffix = "".join(path.suffixes[-2:]).lower()
    suffix = suffix if suffix in ARCHIVES else path.suffix.lower()
    unpack = ARCHIVES.get(suffix) if path.is_file() else None
    folder = Path(str(path)[: -len(suffix)]) if suffix else path
    first = "" if unpack is None else f"type {unpack.format(file=in_shell(path), folder=in_shell(folder))} and "
    return f"{kind}; it must be a folder; {first}pass data.root=<folder with one folder a class>"


def listing(folders: Sequence[Path]) -> str:
    """Return the names of some folders."""
    more = f" and {len(folders) - SHOWN} more" if len(folders) > SHOWN else ""
    return ", ".join(f"{visible(path.name)}/" for path in folders[:SHOWN]) + more


def _ambiguities(root: str) -> Iterator[str]:
    """Yield why the folders of ``root`` may be read in two ways."""
    named, others = folders_by_name(root)
    if not named:
        yield from _splits_below_classes(root, others)
    elif split_folders(root):
        yield from _same_split(root)
        yield from _splits_beside_classes(root, named, [path for path in others if holds_images(path)])
        if "train" not in named and not any(holds_images(path) for path in others):
            there = listing([path for found in named.values() for path in found])
            yield (
                f"data.root={visible(root)} has {there} but no train; add train/<class>/ beside it, or pass"
                " data.root=<folder with one folder a class>"
            )


def _same_split(root: str) -> Iterator[str]:
    for split, found in folders_by_name(root)[0].items():
        full = [path for path in found if holds_images(path)]
        if len(full) > 1:
            yield (
                f"data.root={visible(root)} must have one folder for {split}, got {listing(full)}, which are all names"
                f" of it. Rename those that are another split, or move them out of {visible(root)}."
            )


def _splits_beside_classes(root: str, named: dict[str, list[Path]], others: Sequence[Path]) -> Iterator[str]:
    """Yield one message if folders with images lie beside splits: they would be left out."""
    if not others:
        return
    taken = [f"{visible(path.name)}/ for {split}" for split, found in named.items() for path in found]
    first = next(path for found in named.values() for path in found)
    below = subfolders(first)
    why = f" ({visible(first.name)}/ has the folders {listing(below)})" if below else ""
    yield (
        f"data.root={visible(root)} must hold either splits or classes, got both: {', '.join(taken)}{why}, and"
        f" {listing(others)} for nothing. If {visible(first.name)}/ is a split, type mkdir {in_shell(f'{root}-splits')}"
        f" && ln -s {' '.join(in_shell(path.absolute()) for found in named.values() for path in found)}"
        f" {in_shell(f'{root}-splits')}/ and pass data.root={visible(root)}-splits. If it is a class, type"
        f" mv {in_shell(first)} {in_shell(first.with_name(f'class-{first.name}'))}: a class-… is never a split."
    )


def _splits_below_classes(root: str, classes: Sequence[Path]) -> Iterator[str]:
    """Yield one message if class folders hold splits, cat/train/ and cat/test/: they would be split anew."""
    if len(classes) < 2:
        return
    for folder in classes[:SHOWN]:
        names = splits_named([path.name for path in subfolders(folder)])
        splits = [folder / name for name in names if holds_images(folder / name)]
        if "train" in names.values() and len({names[path.name] for path in splits}) > 1:
            new = in_shell(f"{root}-splits")
            yield (
                f"data.root={visible(root)} must hold splits above classes, got {listing(splits)} in"
                f" {visible(folder.name)}/, which would all be images of {visible(folder.name)}. Type for c in"
                f' {in_shell(root)}/*/; do for s in "$c"*/; do mkdir -p {new}/"$(basename "$s")" && ln -s "$(realpath'
                f' "$s")" {new}/"$(basename "$s")"/"$(basename "$c")"; done; done and pass'
                f" data.root={visible(root)}-splits."
            )
            return


def _split_problems(folder: Path, expected: tuple[str, ...], split: str) -> Iterator[str]:
    classes = class_folders(folder)
    if len(classes) < 2:
        hint = _hint(folder, split)
        yield f"{visible(folder)} has {len(classes)} class folders; at least 2 are needed, one folder a class{hint}"
    if strange := sorted({path.name for path in classes} - set(expected)):
        shown = ", ".join(map(visible, strange[:SHOWN]))
        yield f"{visible(folder)} has classes that train has not: {shown}; remove or rename these folders"
    known = Counter(identity(path) for path in classes)
    if twice := [path for path in classes if known[identity(path)] > 1]:
        yield f"{visible(folder)} must have a folder per class, got {listing(twice)}, which are one. Remove the links."
    if empty := [path for path in classes if not holds_images(path)]:
        more = f" and {len(empty) - SHOWN} more" if len(empty) > SHOWN else ""
        yield (
            f"{visible(folder)} has class folders without an image:"
            f" {', '.join(visible(path.name) for path in empty[:SHOWN])}{more};"
            f" possible: {' '.join(sorted(IMAGE_SUFFIXES))}; add images or remove the folders{_conversion(folder)}"
        )


def _hint(folder: Path, split: str) -> str:
    """Return what to do about a folder with too few class folders, by what lies there instead."""
    classes = class_folders(folder)
    loose = images_in(folder)
    if imagenet_forms.is_tiny_imagenet(folder):
        return f"; it is Tiny ImageNet's as it is unpacked: {imagenet_forms.sort_tiny_imagenet(folder)}"
    if len(classes) == 1 and len(class_folders(classes[0])) > 1:
        names = ", ".join(visible(path.name) for path in class_folders(classes[0])[:3])
        return f"; {visible(classes[0])} has folders ({names} …): {_way_in(folder, classes[0], split)}"
    if loose and split:
        return (
            f"; {len(loose)} images lie in {visible(folder)} itself, without a class: sort them into a folder per"
            f" class, or, if they have no labels, move {visible(folder.name)}/ out of {visible(folder.parent)}"
            " (src/predict.py reads it); if it is a class and no split, type"
            f" mv {in_shell(folder)} {in_shell(folder.with_name(f'class-{folder.name}'))}"
        )
    if loose:
        move = (
            f"type mkdir {in_shell(folder / 'cat')} {in_shell(folder / 'dog')}, if cats and dogs it is, and move each"
        )
        return f"; {len(loose)} images lie in {visible(folder)} itself, of no class: {move} image into one"
    return f"; {visible(classes[0].name)} alone leaves nothing to tell apart" if classes else ""


def _way_in(folder: Path, inner: Path, split: str) -> str:
    if split:
        move = f"mv {in_shell(inner)}/* {in_shell(folder)}/ && rmdir {in_shell(inner)}"
        return f"if these are the classes of {split}, type {move}"
    return f"if these are the classes, or the splits, pass data.root={visible(inner)}"


def _conversion(folder: Path) -> str:
    """Return what to type where photographs are of a form that cannot be read here, as telephones write them."""
    heic = sum(count for suffix, count in other_files(folder).items() if suffix in (".heic", ".heif"))
    if not heic:
        return ""
    return (
        f"; {heic} files are HEIC, which is not read: type find {in_shell(folder)} -iname '*.hei[cf]' -execdir"
        f" heif-convert {{}} {{}}.jpg \\; (Debian's package libheif-examples)"
    )
