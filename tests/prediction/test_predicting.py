"""src/predict.py within the process: a small network's answers, in each form, for all that may be asked."""

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.layers.attention import Attention
from timm.models.deit import VisionTransformerDistilled

from deit.config.schema import Config
from deit.data.sources import open_dataset
from deit.data.views import TrainView
from deit.models.description import DESCRIPTION, describe
from deit.models.files import save_weights
from deit.models.trained import read_trained
from deit.prediction.answering import Answer, Answering, Guess
from deit.prediction.overlays import in_photo
from deit.prediction.photographs import find_photographs
from deit.prediction.request import Format, Request, taken
from deit.prediction.work import picture_paths, work
from deit.prediction.writing import as_csv
from deit.training.run import make_student
from deit.training.teachers import untrained
from small_disk import SmallDisk

CLASSES = ("n01440764", "cat", "night sky")
NETWORK = ("distill=hard", "scale.depth=2", "data=folder", "data.num_classes=3", "augment.eval_crop=0.875")
TEACHER = ("teacher.nano_width=0.05", "teacher.source=checkpoint", "teacher.checkpoint=teacher.safetensors")


def keep(config: Config, net: torch.nn.Module, folder: Path) -> None:
    """What a run leaves of its network."""
    (folder / "checkpoints").mkdir(parents=True)
    state = {f"student.net.{name}": tensor for name, tensor in net.state_dict().items()}
    content = {"state_dict": state, DESCRIPTION: describe(config, CLASSES)}
    torch.save(content, folder / "checkpoints" / "best.ckpt")


@pytest.fixture(scope="module")
def place(config: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs, ``run`` with two heads and ``plain`` with one, a teacher and photographs."""
    folder = tmp_path_factory.mktemp("place")
    torch.manual_seed(0)
    settings = config(*NETWORK, *TEACHER)
    keep(settings, make_student(settings, num_classes=3).net, folder / "run")
    save_weights(folder / "teacher.safetensors", untrained(settings, num_classes=3).net.state_dict(), {})
    alone = config(*NETWORK[1:], "distill=none", "teacher=none")
    keep(alone, make_student(alone, num_classes=3).net, folder / "plain")
    generator = np.random.default_rng(0)
    for name, size in (("photos/a.png", (40, 60)), ("photos/far/b.jpg", (70, 50)), ("photos/c[0].png", (28, 28))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def predict(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Ask for something in that folder: the exit status, standard output and standard error."""
    monkeypatch.chdir(place)

    def ask(*arguments: str) -> tuple[int, str, str]:
        try:
            status = work(taken(["device=cpu", *arguments], None))
        except SystemExit as end:
            status = cast(int, end.code)
        return status, *capsys.readouterr()

    return ask


Predict = Callable[..., tuple[int, str, str]]


def asked_directly(place: Path, name: str) -> dict[str, NDArray[np.float32]]:
    """What the network of ``run`` holds probable, through the evaluation view of its configuration."""
    trained = read_trained(place / "run")
    pixels = np.array(Image.open(place / name).convert("RGB"))
    view = Answering(trained, device=torch.device("cpu"), top=3).view.of_pixels(pixels)
    with torch.no_grad():
        logits = trained.student(view[None] / 255)
    assert logits.distill is not None
    heads = {"class": logits.classes.softmax(-1), "distill": logits.distill.softmax(-1)}
    heads["fused"] = (heads["class"] + heads["distill"]) / 2
    return {head: held[0].numpy() for head, held in heads.items()}


def test_json_holds_each_heads_probabilities_with_all_names(place: Path, predict: Predict) -> None:
    status, said, _ = predict("checkpoint=run", "images=photos", "format=json", "batch=2")
    assert status == 0
    answers = json.loads(said)
    assert [answer["image"] for answer in answers] == ["photos/a.png", "photos/c[0].png", "photos/far/b.jpg"]
    for answer in answers:
        expected = asked_directly(place, answer["image"])
        assert answer["predictions"].keys() == {"class", "distill", "fused"}
        for head, guesses in answer["predictions"].items():
            found = {guess["index"]: guess["probability"] for guess in guesses}
            assert [found[i] for i in range(3)] == pytest.approx(expected[head].tolist(), abs=1e-6)
            assert list(found.values()) == sorted(found.values(), reverse=True)
            assert {(g["index"], g["class"], g["name"]) for g in guesses} == {
                (0, "n01440764", "tench"),
                (1, "cat", "cat"),
                (2, "night sky", "night sky"),
            }


def test_csv_says_the_same_as_json_a_row_a_class(predict: Predict) -> None:
    _, as_json, _ = predict("checkpoint=run", "images=photos", "format=json", "top=2")
    _, as_csv, _ = predict("checkpoint=run", "images=photos", "format=csv", "top=2")
    rows = list(csv.DictReader(io.StringIO(as_csv)))
    flat = [
        (answer["image"], head, str(rank), str(guess["index"]), guess["class"], guess["name"])
        for answer in json.loads(as_json)
        for head, guesses in answer["predictions"].items()
        for rank, guess in enumerate(guesses, 1)
    ]
    assert [tuple(row[key] for key in ("image", "head", "rank", "index", "class", "name")) for row in rows] == flat
    assert len(flat) == 3 * 3 * 2
    assert all(0 <= float(row["probability"]) <= 1 for row in rows)


def test_the_table_has_a_column_a_head_and_a_line_a_rank(place: Path, predict: Predict) -> None:
    status, said, told = predict("checkpoint=run", "images=photos/a.png", "top=2")
    assert (status, told) == (0, "")
    name, header, first, second, *rest = said.splitlines()
    assert (name, rest) == ("photos/a.png", [""])
    assert header.split("  ")[0] == "class head"
    assert "distillation head" in header and "both heads, fused" in header
    names = [("tench", "cat", "night sky")[i] for i in asked_directly(place, "photos/a.png")["class"].argsort()[::-1]]
    assert first.startswith(names[0]) and second.startswith(names[1])
    assert first.count(" %") == 3


def test_a_network_with_one_head_has_one_column(predict: Predict) -> None:
    _, said, _ = predict("checkpoint=plain", "images=photos/a.png", "format=json")
    assert json.loads(said)[0]["predictions"].keys() == {"class"}


def test_output_is_a_file_in_the_form_that_its_suffix_says(place: Path, predict: Predict) -> None:
    assert predict("checkpoint=run", "images=photos", "output=new/a.json") == (0, "", "")
    assert len(json.loads((place / "new/a.json").read_text())) == 3
    predict("checkpoint=run", "images=photos", "output=new/a.csv")
    assert (place / "new/a.csv").read_text().startswith("image,head,rank")
    predict("checkpoint=run", "images=photos", "output=new/a")
    assert (place / "new/a").read_text().startswith("photos/a.png\n")
    assert {file.name for file in (place / "new").iterdir()} == {"a.json", "a.csv", "a"}


def test_what_is_there_is_replaced_only_when_it_is_said(place: Path, predict: Predict, tmp_path: Path) -> None:
    asked = ("checkpoint=run", "images=photos/a.png", f"output={tmp_path}/a.csv")
    (tmp_path / "a.csv").write_text("earlier")
    status, _, told = predict(*asked)
    assert (status, (tmp_path / "a.csv").read_text()) == (2, "earlier")
    assert told == (
        f"output must be a new file, got {tmp_path}/a.csv, which exists. Pass overwrite=true or another output.\n"
    )
    assert predict(*asked, "overwrite=true") == (0, "", "")
    assert (tmp_path / "a.csv").read_text().startswith("image,head")
    drawn = ("checkpoint=run", "images=photos/a.png", "attention=true", f"overlays={tmp_path}")
    assert predict(*drawn)[0] == 0
    status, _, told = predict(*drawn)
    assert (status, "got 1 of earlier, such as" in told) == (2, True)
    assert predict(*drawn, "overwrite=true")[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("output=x.xlsx",), "output must end in .csv, .json, .txt, got x.xlsx. Pass output=x.csv, which spreadsheets"),
        (("output=a.tsv", "format=csv"), "output must end in .csv, .json, .txt, got a.tsv."),
        (
            ("output=a.csv", "format=json"),
            "format must go with the suffix of output=a.csv, got json. Pass output=a.json",
        ),
    ],
)
def test_a_suffix_that_does_not_go_with_the_format_is_refused(
    predict: Predict, place: Path, words: tuple[str, ...], told: str
) -> None:
    status, _, message = predict("checkpoint=run", "images=photos", *words)
    assert status == 2
    assert told in message
    assert not (place / words[0].partition("=")[2]).exists()


def test_a_folder_with_a_comma_is_one_checkpoint(place: Path, predict: Predict) -> None:
    (place / "lr=0.1,bs=16").symlink_to(place / "run")
    (place / "a,b").mkdir()
    (place / "a,b/1,2.png").write_bytes((place / "photos/a.png").read_bytes())
    for checkpoint in ("lr=0.1,bs=16", "'lr=0.1,bs=16'"):
        for images in ("a,b", "a,b/1,2.png", "a,b/1,*.png", "photos/c[0].png,a,b/1,2.png"):
            status, said, told = predict(f"checkpoint={checkpoint}", f"images={images}", "format=json", "top=1")
            assert (status, told) == (0, "")
            assert json.loads(said)[-1]["image"] == "a,b/1,2.png"


def test_csv_and_table_execute_nothing_in_a_spreadsheet_or_terminal(predict: Predict, tmp_path: Path) -> None:
    names = [
        "=HYPERLINK(1).png",
        "+1.png",
        " =2.png",
        "-a.png",
        "@b.png",
        "\t=c.png",
        "\x1b]0;owned\x07.png",
        "\u202egnp.png",
    ]
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "PNG")
    for name in names:
        (tmp_path / name).write_bytes(content.getvalue())
    _, said, _ = predict("checkpoint=run", f"images={tmp_path}", "format=csv", "top=1")
    assert all(f"/{name}" in said for name in names[:5]), "no cell begins with them"
    assert "\x1b" not in said and "\x07" not in said and "\u202e" not in said
    assert [row[0] for row in writing_of(names)] == [
        "'=HYPERLINK(1).png", "'+1.png", "' =2.png", "'-a.png", "'@b.png", "'\t=c.png", "?]0;owned?.png", "?gnp.png"
    ]  # fmt: skip


def writing_of(names: Sequence[str]) -> list[list[str]]:
    """The rows of a CSV file about images of these names, whose class is called like them."""
    answers = [Answer(name, {"class": [Guess(0, name, 0.5)]}) for name in names]
    rows = list(csv.reader(io.StringIO("".join(as_csv([answers])), newline="")))[1:]
    assert all(row[0] == row[4] == row[5] for row in rows)
    return rows


@pytest.mark.parametrize("names", [("n" * 251, "照" * 83), ("n" * 250 + "a", "n" * 250 + "b")])
def test_a_picture_of_a_long_name_has_a_shorter_one_of_its_own(
    predict: Predict, place: Path, tmp_path: Path, names: tuple[str, str]
) -> None:
    for name in ("a", *names):
        (tmp_path / f"in/{name}.jpg").parent.mkdir(exist_ok=True)
        (tmp_path / f"in/{name}.jpg").write_bytes((place / "photos/far/b.jpg").read_bytes())
    output = tmp_path / f"{'o' * 251}.csv"
    asked = (
        "checkpoint=run",
        f"images={tmp_path}/in",
        "attention=true",
        f"overlays={tmp_path}/out",
        f"output={output}",
    )
    assert predict(*asked)[0] == 0
    assert len({row["image"] for row in csv.DictReader(output.open(newline=""))}) == 3
    pictures = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(pictures) == 3 and "a_attention.png" in pictures
    assert all(len(os.fsencode(name)) <= 240 and name.endswith("_attention.png") for name in pictures)


def test_pictures_without_a_folder_of_their_own_replace_none(predict: Predict, place: Path) -> None:
    for folder in ("run_a.png", "run_a.png-2"):
        _, _, told = predict("checkpoint=run", "images=photos/a.png", "attention=true", "format=json")
        assert told == f"1 pictures in logs/attention/{folder}\n"
    _, _, told = predict("checkpoint=plain", "images=photos/a.png", "attention=true", "format=json")
    assert told == "1 pictures in logs/attention/plain_a.png\n"


def test_the_runs_own_teacher_answers_about_the_same_view(config: Callable[..., Config], predict: Predict) -> None:
    status, said, told = predict("checkpoint=run", "images=photos/a.png", "format=json", "teacher=true")
    assert status == 0, told
    teacher = read_trained_teacher(config)
    view = Answering(read_trained("run"), device=torch.device("cpu"), top=3).view
    pixels = np.array(Image.open("photos/a.png"))
    mean, std = (torch.tensor(config(*NETWORK).data.__dict__[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        expected = teacher((view.of_pixels(pixels)[None] / 255 - mean) / std).softmax(-1)[0]
    found = {guess["index"]: guess["probability"] for guess in json.loads(said)[0]["predictions"]["teacher"]}
    assert [found[i] for i in range(3)] == pytest.approx(expected.tolist(), abs=1e-5)


def read_trained_teacher(config: Callable[..., Config]) -> torch.nn.Module:
    """The teacher in its file, as another part of the program reads it."""
    from safetensors.torch import load_file

    network = untrained(config(*NETWORK, *TEACHER), num_classes=3).eval()
    network.net.load_state_dict(load_file("teacher.safetensors"))
    return network


def test_any_network_may_stand_in_the_teachers_place(predict: Predict) -> None:
    _, said, _ = predict("checkpoint=plain", "images=photos", "format=json", "teacher=run")
    _, alone, _ = predict("checkpoint=run", "images=photos", "format=json")
    for answer, other in zip(json.loads(said), json.loads(alone), strict=True):
        assert answer["predictions"].keys() == {"class", "teacher"}
        assert answer["predictions"]["teacher"] == other["predictions"]["fused"]


def test_a_broken_image_is_named_and_the_others_are_answered(place: Path, predict: Predict) -> None:
    (place / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    status, said, told = predict(
        "checkpoint=run", "images=photos/a.png,broken.jpg,photos/far", "format=json", "batch=1"
    )
    assert status == 1
    assert [answer["image"] for answer in json.loads(said)] == ["photos/a.png", "photos/far/b.jpg"]
    assert told.startswith("broken.jpg: cannot be decoded")
    assert told.endswith("1 of 3 images could not be read\n")
    status, said, _ = predict("checkpoint=run", "images=broken.jpg", "format=json")
    assert (status, json.loads(said)) == (1, [])


def test_an_image_and_paths_may_come_through_a_pipe(
    place: Path, predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, expected, _ = predict("checkpoint=run", "images=photos/a.png", "format=json")
    for content, name in (
        ((place / "photos/a.png").read_bytes(), "standard input"),
        (b"photos/a.png\n", "photos/a.png"),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        status, said, _ = predict("checkpoint=run", "format=json")
        assert status == 0
        (answer,) = json.loads(said)
        assert answer == json.loads(expected)[0] | {"image": name}


@pytest.mark.parametrize("form", Format)
def test_a_reader_that_has_read_enough_ends_it_quietly(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], form: Format
) -> None:
    monkeypatch.chdir(place)
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stdout", pipe)
        assert work(Request(checkpoint="run", images="photos", format=form)) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("form", ["png", "jpg"])
def test_all_eight_orientations_are_one_photograph(tmp_path: Path, place: Path, predict: Predict, form: str) -> None:
    turns = [None, 0, 3, 1, 5, 2, 6, 4]  # Pillow's transpositions that undo what orientations 1 to 8 say
    y, x = np.mgrid[0:48, 0:80]
    upright = Image.fromarray(np.stack([x * 3, y * 5, (x // 16 * 16 + y) * 2], axis=-1).astype(np.uint8))
    for orientation, turn in enumerate(turns, 1):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright if turn is None else upright.transpose(Image.Transpose(turn))
        stored.save(tmp_path / f"{orientation}.{form}", exif=exif, quality=95, subsampling=0)
    _, said, _ = predict("checkpoint=run", f"images={tmp_path}", "format=json")
    heads = [answer["predictions"] for answer in json.loads(said)]
    first = {head: [guess["index"] for guess in guesses] for head, guesses in heads[0].items()}
    for other in heads:
        assert {head: [guess["index"] for guess in guesses] for head, guesses in other.items()} == first
        for head, guesses in other.items():
            probable = [guess["probability"] for guess in guesses]
            expected = [guess["probability"] for guess in heads[0][head]]
            assert probable == pytest.approx(expected, abs=0 if form == "png" else 5e-3)
    _, stored, _ = predict("checkpoint=run", f"images={tmp_path}/6.{form}", "format=json", "upright=false")
    assert json.loads(stored)[0]["predictions"] != heads[5]


def test_photographs_stand_as_those_that_the_network_was_trained_on(
    tmp_path: Path, place: Path, predict: Predict, config: Callable[..., Config]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png", exif=exif)
    settings = config(*NETWORK, *TEACHER, "data.upright=false")
    net = make_student(config(*NETWORK, *TEACHER), num_classes=3).net
    net.load_state_dict(read_trained(place / "run").student.net.state_dict())
    keep(settings, net, tmp_path / "stored")
    photographs = (f"images={tmp_path}/a.png", "format=json")
    _, turned, told = predict("checkpoint=run", *photographs)
    assert told == ""
    _, stored, told = predict(f"checkpoint={tmp_path}/stored", *photographs)
    assert told.startswith("1 of 1 photographs do not stand upright as they are stored, and were seen so")
    assert told.endswith("(data.upright=false); upright=true turns them\n")
    assert stored != turned
    assert predict(f"checkpoint={tmp_path}/stored", *photographs, "upright=true")[1:] == (turned, "")
    assert predict("checkpoint=run", *photographs, "upright=false")[1:] == (stored, "")


@pytest.mark.parametrize("decode", ["fast", "reference"])
def test_training_evaluation_and_prediction_see_the_same_pixels(
    tmp_path: Path, config: Callable[..., Config], decode: str
) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        noise = np.random.default_rng(orientation).integers(0, 256, (48, 80, 3), dtype=np.uint8)
        file = tmp_path / "photos" / "ab"[orientation % 2] / f"{orientation}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(file, exif=exif)
    recipe = ("data=folder", f"data.root={tmp_path}/photos", f"data.decode={decode}", "augment=none", "augment.flip=0")
    settings = config(*recipe, "augment.crop=center", "augment.eval_crop=1", "scale.depth=1")
    source = open_dataset(settings.data).train.source
    keep(settings, make_student(settings, num_classes=3).net, tmp_path / "run")
    answering = Answering(read_trained(tmp_path / "run"), device=torch.device("cpu"), top=1)
    trained_on = TrainView(settings.augment, settings.data, image_size=settings.image_size)
    for index in range(len(source)):
        (photograph,) = find_photographs(source.describe(index))
        predicted = answering.view.of_pixels(photograph.pixels(upright=answering.upright))
        assert torch.equal(trained_on.of(source, index)[0], predicted)
        assert torch.equal(answering.view.of(source, index), predicted)


def test_attention_leaves_a_picture_a_photograph_as_they_lie(place: Path, predict: Predict, tmp_path: Path) -> None:
    arguments = ("checkpoint=run", "images=photos", "format=json")
    _, plain, _ = predict(*arguments)
    status, said, told = predict(*arguments, "attention=true", f"overlays={tmp_path}/out")
    assert (status, told) == (0, f"3 pictures in {tmp_path}/out\n")
    assert json.loads(said) == json.loads(plain), "looking changes no answer"
    pictures = {str(path.relative_to(tmp_path / "out")): Image.open(path) for path in (tmp_path / "out").rglob("*.*")}
    assert pictures.keys() == {"a_attention.png", "c[0]_attention.png", "far/b_attention.png"}
    tall, wide = pictures["far/b_attention.png"], pictures["a_attention.png"]
    assert tall.height > wide.height and tall.width < wide.width


def test_pictures_of_the_same_name_do_not_replace_each_other(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    for name in ("x/1.jpg", "x/1.png", "y/1.jpg"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).touch()
    paths = picture_paths(find_photographs("x,y/../y/1.jpg"), Path("out"))
    assert list(map(str, paths.values())) == [
        "out/x/1_attention.png",
        "out/x/1.png_attention.png",
        "out/y/1_attention.png",
    ]


def forced(net: VisionTransformerDistilled, patch: int) -> None:
    """Let every token look at one patch: it alone has a position, which all queries ask for."""
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        position = torch.randn(net.embed_dim, generator=torch.Generator().manual_seed(0))
        position = (position - position.mean()) / position.std()
        assert net.pos_embed is not None
        net.pos_embed[0, 2 + patch] = position
        for block in net.blocks:
            attention = block.get_submodule("attn")
            assert isinstance(attention, Attention)
            block.get_submodule("norm1").weight.fill_(1)  # pyright: ignore[reportCallIssue]
            width = net.embed_dim
            attention.qkv.weight[width : 2 * width] = torch.eye(width)
            attention.qkv.bias[:width] = 4 * position


@pytest.mark.parametrize("size", [(300, 200), (200, 300)])
def test_a_network_that_looks_at_one_patch_is_seen_to(
    config: Callable[..., Config], tmp_path: Path, size: tuple[int, int]
) -> None:
    settings = config(*NETWORK, *TEACHER)
    net = make_student(settings, num_classes=3).net
    assert isinstance(net, VisionTransformerDistilled)
    row, column = 1, 5
    forced(net, 7 * row + column)
    keep(settings, net, tmp_path / "forced")
    Image.new("RGB", size).save(tmp_path / "photo.png")
    answering = Answering(read_trained(tmp_path / "forced"), device=torch.device("cpu"), top=3, attention=True)
    ((answer,),) = answering.about(find_photographs(str(tmp_path / "photo.png")), 1)
    look = answer.look  # pyright: ignore[reportAttributeAccessIssue] - no error
    scale = look.photo.width / size[0]
    side = 0.875 * 200 / 7 * scale  # a patch of the central square, in the photo as it is shown
    middle = [
        (length * scale - 7 * side) / 2 + (at + 0.5) * side for length, at in zip(size, (column, row), strict=True)
    ]
    assert list(look.maps) == ["class token", "distillation token", "attention rollout"]
    for attention in look.maps.values():
        assert attention.sum() <= 1.0001
        on_photo = in_photo(attention, look.place, look.photo.height, look.photo.width)
        brightest = np.argwhere(on_photo == np.nanmax(on_photo)).mean(axis=0)[::-1]
        assert np.abs(brightest - middle).max() < side / 2


def test_the_official_file_of_a_distilled_deit_names_imagenets_classes(tmp_path: Path, predict: Predict) -> None:
    torch.manual_seed(0)
    net = timm.create_model("deit_tiny_distilled_patch16_224")
    assert isinstance(net, VisionTransformerDistilled)
    with torch.no_grad():
        net.head.bias[0], net.head_dist.bias[207] = 20, 25
    torch.save({"model": net.state_dict()}, tmp_path / "deit_tiny_distilled_patch16_224.pth")
    file = f"checkpoint={tmp_path}/deit_tiny_distilled_patch16_224.pth"
    status, said, told = predict(file, "images=photos/a.png", "format=json", "top=1")
    assert status == 0, told
    best = {head: guesses[0] for head, guesses in json.loads(said)[0]["predictions"].items()}
    assert {head: (guess["index"], guess["class"], guess["name"]) for head, guess in best.items()} == {
        "class": (0, "n01440764", "tench"),
        "distill": (207, "n02099601", "golden retriever"),
        "fused": (207, "n02099601", "golden retriever"),
    }
    assert best["fused"]["probability"] == pytest.approx(0.5, abs=0.01)


def test_networks_without_maps_say_so_in_a_line(tmp_path: Path, place: Path, predict: Predict) -> None:
    torch.save({"model": timm.create_model("cait_xxs24_224", img_size=32).state_dict()}, tmp_path / "cait.pth")
    status, said, told = predict(f"checkpoint={tmp_path}/cait.pth", "images=photos", "attention=true")
    assert (status, said) == (2, "")
    assert told.startswith("attention=true needs a transformer whose class token looks at the patches in every block")
    assert told.endswith("cait is a Cait; leave attention out\n")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("checkpoint=run", "images=photos/a.png", "output=photos/a.png"), "output must end in"),
        (("checkpoint=nowhere", "images=photos"), "checkpoint=nowhere is no file, no folder and no network of timm"),
        (("checkpoint=run", "images=photos", "ema=true"), "which ema=true asks for"),
        (("checkpoint=teacher.safetensors", "images=photos"), "holds no DeiT, DeiT III or CaiT"),
        (("checkpoint=run", "images=photos", "teacher=nowhere"), "teacher=nowhere is no file"),
        (("checkpoint=plain", "images=photos", "teacher=true"), "the run had no teacher; pass teacher=<a run"),
        (("checkpoint=run", "images=photos", "device=cuda"), "device is given twice"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(predict: Predict, arguments: tuple[str, ...], told: str) -> None:
    status, said, message = predict(*arguments)
    assert (status, said) == (2, "")
    assert told in message
    assert message.count("\n") == 1


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("teacher.source=random",), "the run had random weights for a teacher; pass teacher=<a run"),
        (("data=digits", "teacher.source=fit"), "any more; start from the folder that has logs/, or pass teacher=<its"),
    ],
)
def test_a_teacher_that_is_gone_is_not_made_anew(
    config: Callable[..., Config], tmp_path: Path, predict: Predict, overrides: tuple[str, ...], told: str
) -> None:
    settings = config("distill=hard", "scale.depth=1", *overrides)
    keep(settings, make_student(settings, num_classes=3).net, tmp_path / "run")
    status, said, message = predict(f"checkpoint={tmp_path}/run", "images=photos", "teacher=true")
    assert (status, said) == (2, "")
    assert told in message
    assert not Path("logs/teachers").exists()


@pytest.mark.parametrize("what", ["output=disk/a.json", "overlays=disk/out"])
def test_a_full_disk_is_told_and_keeps_what_it_held(
    small_disk: Callable[[int], SmallDisk], tmp_path: Path, place: Path, predict: Predict, what: str
) -> None:
    disk = small_disk(200)
    (disk.folder / "a.json").write_text("before")
    disk.fill()
    os.chdir(tmp_path)
    more = ["attention=true"] if "overlays" in what else []
    status, _, told = predict(f"checkpoint={place}/run", f"images={place}/photos", what, "overwrite=true", *more)
    assert status == 1
    assert f"disk/{what.partition('disk/')[2]}" in told and "cannot be written (No space left on device)" in told
    assert (disk.folder / "a.json").read_text() == "before"
    assert not [path for path in disk.folder.rglob("*") if path.is_file() and path.name not in ("a.json", "filler")]


@pytest.mark.slow
def test_a_runs_test_images_are_predicted_as_its_own_predictions_say(
    deit_train: Callable[..., object], predict: Predict, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    for number in range(120):
        path = tmp_path / "photos" / ("day", "night", "dusk")[number % 3] / f"{number}.{('png', 'jpg')[number % 2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (int(generator.integers(28, 90)), int(generator.integers(28, 90)), 3)
        pixels = generator.integers(0, 100, size) + 70 * (number % 3)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    run = ("data=folder", f"data.root={tmp_path}/photos", "data.test_fraction=0.4", "scale.depth=2", "optim.epochs=3",
           "teacher.fit.epochs=8", "teacher.nano_width=0.05", "hydra.run.dir=run")  # fmt: skip
    outcome = deit_train(*run)
    assert outcome.status == 0, outcome.said  # pyright: ignore[reportAttributeAccessIssue] - an Outcome
    os.chdir(tmp_path)  # where logs/teachers is
    status, said, told = predict("checkpoint=run", "images=photos", "format=json", "teacher=true", "batch=7")
    assert status == 0, told
    answers = {str((tmp_path / answer["image"]).resolve()): answer["predictions"] for answer in json.loads(said)}
    config = read_trained(tmp_path / "run").config
    assert config is not None
    test = open_dataset(config.data).test
    source = test.source
    kept = np.load(tmp_path / "run/predictions.npz", allow_pickle=False)
    assert len(kept["index"]) == len(test) > 40
    for head in ("class", "distill", "fused", "teacher"):
        found = [answers[str(Path(source.describe(i)).resolve())][head][0]["index"] for i in kept["index"]]
        assert found == kept[head].tolist(), head
        assert head == "teacher" or len(set(found)) > 1
