"""What the networks are trained on: groups `data` and `augment`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import II, MISSING

from deit.config.values import MOST, MOST_SEED, Choice, not_positive, outside

NO_PACK = "none"
MOST_WORKERS = 1024  # processes; more than any machine has cores for
POLICIES = ("rand", "original", "originalr", "v0", "v0r", "augmix", "3a")  # what timm's names begin with


class Crop(Choice):
    """How a training image becomes a square."""

    resized = "resized"
    """RandomResizedCrop, as DeiT trains on ImageNet."""
    padded = "padded"
    """Resize, pad by an eighth, random crop: what the official code does at 32 pixels and below."""
    simple = "simple"
    """Resize the short side, pad by 4 mirrored pixels, random crop: DeiT III's Simple Random Crop."""
    center = "center"
    """Resize and centre crop: no randomness."""


class MixMode(Choice):
    """Which images are mixed with which, and how often a strength is drawn."""

    pair = "pair"
    """Neighbours in the batch, one strength and box a pair, drawn from the pair's key."""
    batch = "batch"
    """The official way: a batch with its own reverse, one strength and box for all."""


class Order(Choice):
    """Which views an epoch holds, and in which order."""

    keyed = "keyed"
    """Pairs that stay together over any number of devices; copies of an image never meet in a pair."""
    official = "official"
    """The official sampler: copies of an image in a row, dealt to devices in turn, the last batch dropped."""


class DataKind(Choice):
    """Which reader opens the data set."""

    digits = "digits"
    fashion_mnist = "fashion_mnist"
    cifar10 = "cifar10"
    cifar100 = "cifar100"
    flowers102 = "flowers102"
    cars = "cars"
    inat2018 = "inat2018"
    inat2019 = "inat2019"
    imagenet = "imagenet"
    folder = "folder"
    hf = "hf"


class Decode(Choice):
    """How images are decoded, cropped and changed; the same views but for rounding."""

    fast = "fast"
    """As arrays, in less than half the time: within one grey level of the reference before a policy sees them."""
    reference = "reference"
    """By Pillow, timm and torchvision, as the official code."""


class OnError(Choice):
    """What becomes of a run that meets an image which cannot be read."""

    stop = "stop"
    """It ends, names the image, and can be gone on with."""
    skip = "skip"
    """Another image of the class is trained on in its place; in evaluation it does not count."""


OWN_VAL = (DataKind.flowers102, DataKind.folder, DataKind.hf)
"""Sets that may bring a val split besides a test split."""

OF_ONES_OWN = (DataKind.folder, DataKind.hf)
"""Readers of a person's own photographs."""

IN_MEMORY = (DataKind.digits, DataKind.fashion_mnist, DataKind.cifar10, DataKind.cifar100)
"""Sets whose images are no files and need no packing."""


@dataclass(kw_only=True)
class Data:
    """A labelled set of images and how it is split."""

    name: str = MISSING
    kind: DataKind = MISSING
    root: str | None = None
    """Folder of the files; null: where the package manager or an earlier download put them."""
    num_classes: int | None = None
    """Null: counted from the folders, or asked of the data set when it is opened."""
    flip: float = 0.5
    """Probability of mirroring that suits the images; 0 for digits and letters, which would be others."""
    mean: list[float] = field(default_factory=lambda: [0.485, 0.456, 0.406])
    """Per-channel mean of images in [0, 1]; ImageNet's unless the data set has its own."""
    std: list[float] = field(default_factory=lambda: [0.229, 0.224, 0.225])
    val_fraction: float = 0.1
    """Share of the training images held out to choose checkpoints by, where the set has no val split."""
    test_fraction: float = 0.2
    """Share held out for the one measurement at the end, where the set has no test split."""
    own_val: bool = True
    """Whether a val split that a set brings along chooses checkpoints; false: it is trained on too, and val_fraction
    of both is held out (Table 6 trains Flowers-102 on 2,040 images). Only for sets with a test split besides."""
    train_fraction: float = 1.0
    """Share of the training split that is used, the same for every class."""
    seed: int = 0
    """Of the splits; apart from the run's seed, so that runs of several seeds share their data."""
    workers: int = 0
    """Loader processes a device; results do not depend on it."""
    decode: Decode = Decode.fast
    """How images become views."""
    upright: bool = False
    """Whether files are turned as their EXIF orientation says. False: as stored, which is how the official code reads
    them, so that figures on published sets compare. A person's own photographs are meant to be seen upright, so
    data=folder and data=hf say true. A run whose configuration lacks the setting was trained on files as stored, and
    counts as false."""
    on_error: OnError = OnError.stop
    """What to do about images that cannot be read: missing, empty, cut off, or no images."""
    pack: str = NO_PACK
    """Train on a copy of the images in one file, their short side resized to so many pixels (256, 292): for network
    file systems and small machines; none: on the images themselves."""
    pack_path: str | None = None
    """Folder of the packed images; null: below logs/packed, named after what they are of."""
    path: str | None = None
    """``data=hf``: name on the Hub or local folder of a Hugging Face dataset."""
    image_column: str = "image"
    label_column: str = "label"
    download: bool = False
    """Whether missing files may be fetched over the network."""

    @property
    def packed_side(self) -> int | None:
        """Pixels of the packed images' short side; None where images are not packed."""
        return int(self.pack) if self.pack.isdecimal() and self.kind not in IN_MEMORY else None

    @property
    def label(self) -> str:
        """What to call the images: a folder of one's own has its own name, without where it is."""
        place = self.path if self.kind is DataKind.hf else self.root
        if self.kind not in OF_ONES_OWN or place is None:
            return self.name
        return Path(place).absolute().name if self.kind is DataKind.folder or Path(place).exists() else place

    @property
    def turns(self) -> bool:
        """Whether an image may be turned: those that lie in memory say nothing of the camera."""
        return self.upright and self.kind not in IN_MEMORY

    @property
    def shows_upright(self) -> bool:
        """Whether what is learnt from it is learnt upright: a published set stands so as stored, but for a few."""
        return self.upright or self.kind not in OF_ONES_OWN

    def problems(self) -> Iterator[str]:
        if self.pack != NO_PACK and not (self.pack.isdecimal() and int(self.pack) > 0):
            yield f"data.pack={self.pack} is no length; possible: none or pixels, such as 256; pass data.pack=256"
        for key, share in (("data.val_fraction", self.val_fraction), ("data.test_fraction", self.test_fraction)):
            yield from outside(key, share, 0, 1, open_low=True, open_high=True)
        if self.val_fraction + self.test_fraction >= 1:
            yield (
                f"data.val_fraction={self.val_fraction:g} and data.test_fraction={self.test_fraction:g} leave nothing"
                " to train on; their sum must be below 1; pass data.val_fraction=0.1 data.test_fraction=0.2"
            )
        yield from outside("data.flip", self.flip, 0, 1)
        yield from outside("data.train_fraction", self.train_fraction, 0, 1, open_low=True)
        if not self.own_val and self.kind not in OWN_VAL:
            yield own_val_refused(self)
        if self.num_classes is not None:
            yield from outside("data.num_classes", self.num_classes, 2, MOST)
        yield from outside("data.workers", self.workers, 0, MOST_WORKERS)
        yield from outside("data.seed", self.seed, 0, MOST_SEED)
        for key, values in (("data.mean", self.mean), ("data.std", self.std)):
            if len(values) != 3:
                yield f"{key} has {len(values)} values; images have 3 channels; pass {key}=[r,g,b]"
            for number, value in enumerate(values):
                yield from outside(f"{key}[{number}]", value, 0, 1, open_low=values is self.std)


def own_val_refused(data: Data) -> str:
    """What to say where training cannot have a val split besides, because the set has none or is tested on it."""
    return (
        f"data.own_val=false needs a set with val and test splits of its own, which data={data.name} has not;"
        f" possible: {', '.join(map(str, OWN_VAL))}; leave data.own_val out"
    )


@dataclass(kw_only=True)
class Augment:
    """What happens to a training image on its way to the network (Table 9, right column)."""

    name: str = MISSING
    crop: Crop = II("scale.crop")  # noqa: RUF009 - a marker string, the same for every instance
    crop_scale: list[float] = field(default_factory=lambda: [0.08, 1.0])
    """Share of the image's area that a resized crop keeps, smallest and largest."""
    flip: float = II("data.flip")
    """Probability of mirroring a training image."""
    auto_augment: str | None = None
    """timm's name of a policy: rand-m9-mstd0.5-inc1 (RandAugment as in the paper), original or v0 (AutoAugment),
    augmix-m3-w3 (AugMix), or 3a (DeiT III's 3-Augment: grey, solarised or blurred)."""
    color_jitter: float = 0.0
    """Largest change of brightness, contrast and saturation, after the policy; DeiT III: 0.3. The official code's
    default of 0.3 does nothing beside RandAugment, hence 0 for DeiT."""
    erasing: float = 0.0
    """Probability of random erasing with pixel noise; the paper: 0.25."""
    mixup: float = 0.0
    """Beta parameter of Mixup; 0: none; the paper: 0.8."""
    cutmix: float = 0.0
    """Beta parameter of CutMix; 0: none; the paper: 1.0."""
    mix_probability: float = 1.0
    """Probability that a pair (or batch) is mixed at all."""
    switch_probability: float = 0.5
    """Probability of CutMix where both are on."""
    mix_mode: MixMode = MixMode.pair
    smoothing: float = 0.0
    """Label smoothing in [0, 1); the paper: 0.1. Never applied to the teacher's labels."""
    order: Order = Order.keyed
    repeats: int = 1
    """Views of the same image in a batch (repeated augmentation); the paper: 3."""
    eval_crop: float | None = None
    """Side of the evaluation crop over the resized image; null: 0.875 after crops of photographs, as the official
    code has it, else 1."""

    @property
    def mixes(self) -> bool:
        return self.mix_probability > 0 and (self.mixup > 0 or self.cutmix > 0)

    @property
    def eval_share(self) -> float:
        """Side of the evaluation crop over the resized image."""
        if self.eval_crop is not None:
            return self.eval_crop
        return 0.875 if self.crop in (Crop.resized, Crop.simple) else 1.0

    def problems(self) -> Iterator[str]:
        probabilities = {
            "flip": self.flip,
            "erasing": self.erasing,
            "mix_probability": self.mix_probability,
            "switch_probability": self.switch_probability,
        }
        for name, value in probabilities.items():
            yield from outside(f"augment.{name}", value, 0, 1)
        yield from outside("augment.color_jitter", self.color_jitter, 0, 1)
        yield from self._policy_problems()
        yield from outside("augment.mixup", self.mixup, 0, 100)
        yield from outside("augment.cutmix", self.cutmix, 0, 100)
        yield from outside("augment.smoothing", self.smoothing, 0, 1, open_high=True)
        yield from outside("augment.eval_crop", self.eval_share, 0, 1, open_low=True)
        yield from not_positive(augment__repeats=self.repeats)
        if len(self.crop_scale) != 2 or not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            yield f"augment.crop_scale={self.crop_scale} is no range within (0, 1]; pass augment.crop_scale=[0.08,1.0]"
        if self.order is Order.official and self.mixes and self.mix_mode is MixMode.pair:
            yield (
                "augment.order=official lays copies of an image side by side, which augment.mix_mode=pair would mix"
                " with each other; pass augment.mix_mode=batch or augment.order=keyed"
            )

    def _policy_problems(self) -> Iterator[str]:
        if self.auto_augment is not None and self.auto_augment.split("-")[0] not in POLICIES:
            yield (
                f"augment.auto_augment={self.auto_augment} is unknown; possible: names that begin with"
                f" {', '.join(POLICIES)}; pass augment.auto_augment=rand-m9-mstd0.5-inc1"
            )
