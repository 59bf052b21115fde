"""ImageNet and its relatives from folders as they are published, against timm's labels and masks on timm's logits."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import RealLabelsImagenet
from timm.models.deit import VisionTransformerDistilled
from torchvision import transforms
from torchvision.transforms import InterpolationMode

import commands
from deit.assessment.request import V2, read
from deit.assessment.work import evaluate
from deit.config.errors import ConfigError, RunError
from deit.config.schema import Config
from deit.evaluation import imagenet
from deit.models.class_names import imagenet_classes

SYNSETS = imagenet_classes(1000)
SHAPE = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 1, "num_heads": 1, "num_classes": 1000}
ALL = "sets=val,real,v2,a,r,sketch"
NUM_IMAGES = 14  # a set: some right, some nearly right, some wrong

OFFICIAL = transforms.Compose(
    [
        transforms.Resize(36, interpolation=InterpolationMode.BICUBIC),  # 32 / 0.875, as the official code rounds it
        transforms.CenterCrop(32),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


@dataclass
class Site:
    """A folder with the sets, a checkpoint, and what timm's network says of the images."""

    root: Path
    checkpoint: Path
    logits: dict[str, torch.Tensor] = field(default_factory=dict)
    """By set, (N, 1000): the mean of both heads, in the order of the labels."""
    labels: dict[str, list[int]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    """Of the validation images, in the same order."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("site")
    torch.manual_seed(0)
    net = VisionTransformerDistilled(**SHAPE).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # answers that differ from image to image
    torch.save({"model": net.state_dict()}, folder / "deit.pth")
    made = Site(folder / "imagenet", folder / "deit.pth")
    for synset in SYNSETS:
        save(made.root / "train" / synset / "0.JPEG", photograph(0))
    with torch.no_grad():
        validation(made, net)
        for number, (name, archive) in enumerate(V2.items(), 1):
            relative(made, net, name, folder / archive, [str(label) for label in range(1000)], number)
        for number, name in enumerate(("a", "r"), 4):
            among = imagenet.subset(name)
            folders = {label: SYNSETS[label] for label in among}
            relative(made, net, name, folder / f"imagenet-{name}", folders, number)
        relative(made, net, "sketch", folder / "sketch", list(SYNSETS), 6)
    return made


def photograph(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((60, 50)).save(file, "JPEG")
    return file.getvalue()


def save(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def answer(net: torch.nn.Module, content: bytes) -> torch.Tensor:
    return net(OFFICIAL(Image.open(io.BytesIO(content)))[None])[0]


def ordered(made: Site, name: str, found: list[tuple[int, str, torch.Tensor]]) -> None:
    found.sort(key=lambda one: one[:2])  # as sets are read: by label, then by the file's name
    made.labels[name] = [label for label, _, _ in found]
    made.logits[name] = torch.stack([logits for _, _, logits in found])
    if name == "val":
        made.names = [file for _, file, _ in found]


def relative(made: Site, net: torch.nn.Module, name: str, folder: Path, folders: dict | list, seed: int) -> None:
    """A set in whose folders every third image is where the network would put it, every third nearly so."""
    possible = torch.tensor(sorted(folders) if isinstance(folders, dict) else range(1000))
    found = []
    for number in range(NUM_IMAGES):
        content = photograph(1000 * seed + number)
        logits = answer(net, content)
        best = possible[logits[possible].argsort(descending=True)]
        label = int(best[(0, 3, 20)[number % 3]])
        save(folder / folders[label] / f"{number:02d}.jpg", content)
        found.append((label, f"{number:02d}.jpg", logits))
    ordered(made, name, found)


def validation(made: Site, net: torch.nn.Module) -> None:
    """Images under numbers whose ReaL labels are right, wrong or missing, whatever their folder says."""
    real, taken, found = imagenet.real_labels(), set(), []
    for number in range(NUM_IMAGES):
        content = photograph(number)
        logits = answer(net, content)
        best = logits.argsort(descending=True)
        wanted = int(best[(0, 4, 700)[number % 3]])
        fits = (lambda shown: not shown) if number == 5 else (lambda shown, label=wanted: label in shown)
        position = next(place for place, shown in enumerate(real) if fits(shown) and place not in taken)
        taken.add(position)
        name, label = f"ILSVRC2012_val_{position + 1:08d}.JPEG", int(best[(0, 2)[number % 2]])
        save(made.root / "val" / SYNSETS[label] / name, content)
        found.append((label, name, logits))
    ordered(made, "val", found)


@pytest.fixture(scope="module")
def record(site: Site, config: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> dict:
    """evaluation.json of all sets."""
    output = tmp_path_factory.mktemp("output")
    overrides = ["data=imagenet", f"data.root={site.root}", "data.decode=reference"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["evaluate.py"])
        asked = read([f"checkpoint={site.checkpoint}", ALL, f"output={output}", "batch_size=4"])
        assert evaluate(asked, config(*overrides, "data.workers=0"), overrides, []) == output
    return json.loads((output / "evaluation.json").read_text())


def of(record: dict, name: str) -> dict:
    (found,) = [one for one in record["sets"] if one["name"] == name]
    return found


def by_logits(record: dict, name: str) -> dict:
    """Figures of the mean of both heads, which is what timm's network answers."""
    return of(record, name)["networks"][0]["heads"]["fused_logits"]


@pytest.mark.parametrize("name", ["val", *V2, "sketch"])
def test_accuracies_are_those_of_timms_logits(site: Site, record: dict, name: str) -> None:
    labels = torch.tensor(site.labels[name])
    best = site.logits[name].topk(5).indices == labels[:, None]
    assert by_logits(record, name)["acc1"] == pytest.approx(100 * best[:, 0].double().mean().item())
    assert by_logits(record, name)["acc5"] == pytest.approx(100 * best.any(dim=1).double().mean().item())
    nll = torch.nn.functional.cross_entropy(site.logits[name], labels).item()
    assert by_logits(record, name)["nll"] == pytest.approx(nll, abs=1e-3)
    assert 0 < by_logits(record, name)["acc1"] < by_logits(record, name)["acc5"] < 100 or name == "val"


@pytest.mark.parametrize("name", ["a", "r"])
def test_accuracies_of_a_subset_are_those_of_timms_masked_logits(site: Site, record: dict, name: str) -> None:
    valid = imagenet.subset(name)
    masked = site.logits[name][:, list(valid)]
    labels = torch.tensor([valid.index(label) for label in site.labels[name]])
    best = masked.topk(5).indices == labels[:, None]
    assert by_logits(record, name)["acc1"] == pytest.approx(100 * best[:, 0].double().mean().item())
    assert by_logits(record, name)["acc5"] == pytest.approx(100 * best.any(dim=1).double().mean().item())
    nll = torch.nn.functional.cross_entropy(masked, labels).item()
    assert by_logits(record, name)["nll"] == pytest.approx(nll, abs=1e-3)
    assert not set(site.logits[name].argmax(dim=-1).tolist()) <= set(valid), "without the mask others would be named"


def test_real_accuracies_are_timms(site: Site, record: dict) -> None:
    theirs = RealLabelsImagenet([f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 50_001)])
    theirs.filenames = site.names
    theirs.add_result(site.logits["val"])
    assert by_logits(record, "real")["acc1"] == pytest.approx(theirs.get_accuracy(1))
    assert by_logits(record, "real")["acc5"] == pytest.approx(theirs.get_accuracy(5))
    assert (of(record, "real")["images"], of(record, "real")["of"]) == (NUM_IMAGES - 1, NUM_IMAGES)
    assert by_logits(record, "real")["nll"] is None
    assert by_logits(record, "real")["acc1"] != by_logits(record, "val")["acc1"]


def test_a_copy_that_lacks_classes_is_said_to(record: dict) -> None:
    for one in record["sets"]:
        assert one["num_classes"] == (200 if one["name"] in ("a", "r") else 1000)
        assert 1 < one["classes_with_images"] <= NUM_IMAGES


def test_what_is_decided_for_is_kept_image_by_image(site: Site, record: dict, tmp_path: Path) -> None:
    matrix = of(record, "a")["networks"][0]["confusion"]
    assert sum(count for _, _, count in matrix) == NUM_IMAGES
    assert {column for _, column, _ in matrix} <= set(imagenet.subset("a"))


def refused(site: Site, config: Callable[..., Config], *words: str, root: Path | None = None) -> str:
    overrides = ["data=imagenet", f"data.root={root or site.root}"]
    with pytest.raises(ConfigError) as refusal:
        asked = read([f"checkpoint={site.checkpoint}", *words])
        evaluate(asked, config(*overrides), overrides, [])
    return str(refusal.value)


def test_a_set_that_is_nowhere_is_told_with_where_it_was_looked_for(
    site: Site, config: Callable[..., Config], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "data" / "imagenet"
    elsewhere.parent.mkdir()
    elsewhere.symlink_to(site.root)
    said = refused(site, config, "sets=a,v2", root=elsewhere)
    assert said.startswith("4 problems:"), "the three variants of V2 and A, all at once"
    assert f"looked for {elsewhere}/imagenet-a, {elsewhere.parent}/imagenet-a; pass a=<folder>" in said


def test_folders_of_another_set_are_refused(site: Site, config: Callable[..., Config]) -> None:
    sketch = site.root.parent / "sketch"
    assert "none of the 200 classes of a: " in refused(site, config, "sets=a", f"a={sketch}")
    assert "none of the 1000 classes of sketch: " in refused(
        site, config, "sets=sketch", f"sketch={site.root.parent / V2['v2-top-images']}"
    )


def test_to_be_measured_on_imagenet_needs_no_training_images(site: Site, tmp_path: Path) -> None:
    for synset in SYNSETS:
        save(tmp_path / "imagenet/val" / synset / "0.JPEG", photograph(0))

    def typed(script: str, *words: str) -> subprocess.CompletedProcess[str]:
        return commands.run(script, "data=imagenet", "data.root=imagenet", *words, cwd=tmp_path)

    done = typed("evaluate.py", f"checkpoint={site.checkpoint}", "data.workers=0", "output=out")
    assert done.returncode == 0, done.stderr
    found = of(json.loads((tmp_path / "out/evaluation.json").read_text()), "val")
    assert (found["images"], found["networks"][0]["heads"]["class"]["acc1"]) == (1000, pytest.approx(0.1, abs=1e-6))
    done = typed("train.py")
    assert done.returncode == 2
    assert "data.root=imagenet has no folder train/; pass data.root=<folder that holds train and val>" in done.stderr


def test_images_that_have_been_renamed_have_no_real_labels(site: Site, config: Callable[..., Config]) -> None:
    free = next(name for label, name in enumerate(SYNSETS) if label not in site.labels["val"])
    stray = site.root / "val" / free / "cat.JPEG"
    save(stray, photograph(0))
    try:
        assert f"{stray} has none of these" in refused(site, config, "sets=real")
    finally:
        stray.unlink()
        stray.parent.rmdir()


def test_an_image_that_cannot_be_read_ends_the_evaluation_or_is_left_out(
    site: Site, config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py"])
    broken = site.root.parent / "imagenet-r" / SYNSETS[imagenet.subset("r")[0]] / "broken.jpg"
    save(broken, b"no image")
    asked = read([f"checkpoint={site.checkpoint}", "sets=r", f"output={tmp_path}"])
    overrides = ["data=imagenet", f"data.root={site.root}", "data.workers=0"]
    try:
        with pytest.raises(RunError, match=r"broken\.jpg"):
            evaluate(asked, config(*overrides), overrides, [])
        skipping = [*overrides, "data.on_error=skip"]
        assert evaluate(asked, config(*skipping), skipping, []) == tmp_path
    finally:
        broken.unlink()
    found = of(json.loads((tmp_path / "evaluation.json").read_text()), "r")
    assert (found["images"], found["of"]) == (NUM_IMAGES, NUM_IMAGES + 1)
