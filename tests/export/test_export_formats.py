"""Every format answers as the network does, and says what it is."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import timm
import torch
import yaml
from PIL import Image
from timm.models.cait import Cait
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from deit.config.errors import ConfigError, RunError
from deit.config.network import Scale
from deit.config.schema import Config
from deit.config.teaching import Fusion
from deit.evaluation.heads import probabilities
from deit.export import onnx_file, program, timm_folder
from deit.export.answer import TOLERANCE, Answer, differences, fused_logits, refuse_another
from deit.export.request import Format, Request
from deit.export.work import export, possible
from deit.models.description import DESCRIPTION, describe
from deit.models.nano import build_nano
from deit.models.preprocess import Preprocess
from deit.models.students import Student, build_student
from deit.models.trained import Trained, read_trained
from small_disk import SmallDisk

DIGITS = tuple("0123456789")
MEAN, STD = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
SHAPE = {"img_size": 28, "patch_size": 4, "embed_dim": 48, "depth": 2, "num_heads": 3, "num_classes": 10}


def scrambled(net: nn.Module) -> nn.Module:
    """``net`` with every weight drawn anew, so that nothing is right by being zero or one."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return net.eval()


def trained(net: nn.Module, *, side: int = 28, **facts: object) -> Trained:
    student = Student(scrambled(net), Preprocess(MEAN, STD, side)).eval()
    return Trained(name="mine", student=student, classes=DIGITS, crop=0.9, **facts)


def pixels(batch: int, side: int = 28) -> Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(batch))


@pytest.fixture(scope="module")
def run(
    config: Callable[..., Config], leave_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run with two heads, as it is left: its figures and its best checkpoint."""
    place = "data.root=/home/someone/secret/photos"
    files = "teacher.checkpoints=[/home/someone/a.pth,/data/b.pth]"
    overrides = [
        "distill=hard",
        "scale.depth=1",
        "data=folder",
        place,
        files,
        "logger=csv",
        "augment.crop_scale=[0.3,1]",
    ]
    metrics = {"test/acc1": 91.5, "test/acc1_class": 90.25, "test/acc1_distill": 91.0, "test/acc1_fused": 91.5}
    folder = leave_run(tmp_path_factory.mktemp("runs") / "mine", *overrides, metrics=metrics, test_split="test")
    made_with = config(*overrides)
    student = build_student(
        made_with.model, made_with.scale, image_size=28, token=True, num_classes=10, mean=MEAN, std=STD
    )
    state = {f"student.net.{name}": tensor for name, tensor in scrambled(student.net).state_dict().items()}
    content = {"state_dict": state, DESCRIPTION: describe(made_with, DIGITS)}
    for name in ("best", "last"):
        torch.save(content, folder / "checkpoints" / f"{name}.ckpt")
    return folder


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("exports") / "deit_photos"
    export(Request(checkpoint=str(run), output=output, format=Format.all))
    return output


def normalised(images: Tensor, network: Trained) -> Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (network.inputs.mean, network.inputs.std))
    return (images - mean) / std


@pytest.mark.parametrize("batch", [1, 7])
def test_onnx_answers_as_the_network_head_by_head(run: Path, exported: Path, batch: int) -> None:
    network = read_trained(run)
    images = pixels(batch)
    session = onnxruntime.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_outputs()] == ["logits", "class_logits", "distillation_logits"]
    (given,) = session.get_inputs()
    assert (given.name, given.shape) == ("images", ["batch", 3, 28, 28])
    logits, classes, distill = map(torch.from_numpy, session.run(None, {"images": normalised(images, network).numpy()}))
    with torch.no_grad():
        heads = network.student(images)
    assert heads.distill is not None
    torch.testing.assert_close(classes, heads.classes, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(distill, heads.distill, rtol=0, atol=TOLERANCE)
    fused = probabilities(*heads, network.fusion)["fused"]
    torch.testing.assert_close(logits.softmax(dim=-1), fused, rtol=0, atol=TOLERANCE)
    assert not torch.allclose(classes, distill, atol=0.1)


@pytest.mark.parametrize("batch", [1, 7])
def test_the_program_of_torch_answers_as_the_network(run: Path, exported: Path, batch: int) -> None:
    network = read_trained(run)
    images = normalised(pixels(batch), network)
    loaded = torch.export.load(exported / "model.pt2").module()
    with torch.no_grad():
        expected = Answer(network, preprocess=False)(images)
        torch.testing.assert_close(loaded(images), expected, rtol=0, atol=TOLERANCE)


def test_timm_loads_the_folder_and_averages_its_heads(run: Path, exported: Path) -> None:
    network = read_trained(run)
    net = timm.create_model(f"local-dir:{exported}", pretrained=True).eval()
    images = pixels(2)
    with torch.no_grad():
        heads = network.student(images)
        assert heads.distill is not None
        torch.testing.assert_close(net(normalised(images, network)), (heads.classes + heads.distill) / 2)
    assert net.pretrained_cfg["label_names"] == list(DIGITS)
    assert timm.data.resolve_model_data_config(net)["crop_pct"] == network.crop


def test_every_file_says_what_its_classes_and_images_are(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    files = {"model.onnx", "model.pt2", "model.safetensors", "config.json"}
    assert names == files | {"README.md", "labels.json", "export.json"}
    session = onnxruntime.InferenceSession(exported / "model.onnx", providers=["CPUExecutionProvider"])
    kept = {"labels": "", "input": ""}
    torch.export.load(exported / "model.pt2", extra_files=kept)
    for facts in (session.get_modelmeta().custom_metadata_map, kept):
        assert json.loads(facts["labels"]) == list(DIGITS)
        assert facts["input"].endswith("pixels in [0, 1], minus mean, divided by std")
    assert json.loads((exported / "labels.json").read_text()) == list(DIGITS)
    record = json.loads((exported / "export.json").read_text())
    assert {format: list(found) for format, found in record["parity"].items()} == {
        format: ["batch 1", "batch 7"] for format in ("safetensors", "torch", "onnx")
    }


def test_no_file_names_a_place_of_this_machine(exported: Path) -> None:
    for path in exported.iterdir():
        assert b"site-packages" not in path.read_bytes()
        assert b"/home/someone" not in path.read_bytes()


def test_with_preprocess_the_files_take_pixels(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "raw"
    export(Request(checkpoint=str(run), output=output, format=Format.torch, preprocess=True))
    network = read_trained(run)
    with torch.no_grad():
        answered = torch.export.load(output / "model.pt2").module()(pixels(3))
        torch.testing.assert_close(answered[1], network.student(pixels(3)).classes, rtol=0, atol=TOLERANCE)
    assert "(batch, 3, 28, 28): the files here normalise them." in (output / "README.md").read_text()


def test_the_card_has_the_figures_of_the_run(exported: Path) -> None:
    _, header, body = (exported / "README.md").read_text().split("---\n", 2)
    said = yaml.safe_load(header)
    assert (said["library_name"], said["pipeline_tag"]) == ("timm", "image-classification")
    assert "license" not in said
    (result,) = said["model-index"][0]["results"]
    assert [metric["value"] for metric in result["metrics"]] == [91.5, 90.25, 91.0, 91.5]
    assert (result["dataset"]["name"], result["dataset"]["split"]) == ("photos", "test")
    for part in (
        "# deit_photos",
        "On photos, ",
        "| class head | 90.25 |",
        "distilled (hard) from ",
        "| onnx | ",
        "Turn an image as its EXIF orientation says (`PIL.ImageOps.exif_transpose`), resize it (bicubic)\n",
    ):
        assert part in body
    command = "distill=hard scale.depth=1 data=folder data.root=<photos> teacher.checkpoints=[<a.pth>,<b.pth>]"
    assert f"python src/train.py {command} 'augment.crop_scale=[0.3,1]'\n" in body


def without_figures(source: Path, output: Path) -> None:
    export(Request(checkpoint=str(source), output=output))
    text = (output / "README.md").read_text()
    assert "No measurement of exactly these weights is recorded." in text
    assert "91.5" not in text


def test_the_card_has_no_figures_of_other_weights(run: Path, tmp_path: Path) -> None:
    without_figures(run / "checkpoints" / "last.ckpt", tmp_path / "out")


@pytest.mark.parametrize("fact", [{"dry_run": True}, {"status": "failed"}])
def test_the_card_has_no_figures_that_mean_nothing(run: Path, tmp_path: Path, fact: dict[str, object]) -> None:
    shutil.copytree(run, tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | fact))
    without_figures(tmp_path / "run", tmp_path / "out")


def test_what_the_card_says_to_type_works(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exported)
    given = {"image": Image.new("L", (40, 30), 128), "images": np.zeros((2, 3, 28, 28), np.float32)}
    blocks = re.findall(r"```python\n(.*?)```", (exported / "README.md").read_text(), re.S)
    answers = []
    for block in blocks:
        names = dict(given) if "onnx" in block else given | {"images": torch.zeros(2, 3, 28, 28)}
        exec(block, names)
        answers.append(names["logits"])
    timms, onnx, torchs = answers
    assert timms.shape == (1, 10)
    np.testing.assert_allclose(onnx, torchs.detach().numpy(), atol=TOLERANCE)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "deit_tiny_patch16_224": lambda: VisionTransformer(**SHAPE),
    "deit_tiny_distilled_patch16_224": lambda: VisionTransformerDistilled(**SHAPE),
    "deit3_small_patch16_224": lambda: VisionTransformer(
        **SHAPE | {"num_heads": 6}, init_values=1e-4, no_embed_class=True
    ),
    "cait_xxs24_224": lambda: Cait(**SHAPE | {"num_heads": 4}, depth_token_only=1),
    "mobilenetv3_small_050": lambda: timm.create_model("mobilenetv3_small_050", num_classes=10),
}


@pytest.mark.parametrize("architecture", NETWORKS)
def test_timms_layout_gives_every_head_back(architecture: str, tmp_path: Path) -> None:
    network = trained(NETWORKS[architecture](), fusion=Fusion.logits)
    form = timm_folder.form_of(network)
    assert form.architecture == architecture
    assert timm_folder.save(network, form, Answer(network, preprocess=False), tmp_path) == {1: 0.0, 7: 0.0}
    again = read_trained(tmp_path)
    for one, other in zip(again.student(pixels(2)), network.student(pixels(2)), strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)
    assert (again.classes, again.crop, again.inputs) == (DIGITS, 0.9, network.inputs)
    assert again.fusion is (Fusion.logits if network.student.two_heads else Fusion.softmax)
    assert timm_folder.form_of(again) == form


def distilled_deit3() -> nn.Module:
    net = VisionTransformerDistilled(**SHAPE, init_values=1e-4, no_embed_class=True)
    net.pos_embed = nn.Parameter(torch.zeros(1, 49, 48))
    return net


def nano_regnet() -> nn.Module:
    nano = Scale(name="nano", head_dim=16, depth=6, patch_size=4, image_size=28, shrink=8)
    return build_nano("regnety_040", nano, width=0.05, image_size=28, num_classes=10)


NOT_IN_TIMM = {"distilled DeiT III": distilled_deit3, "nano RegNet": nano_regnet}


@pytest.mark.parametrize(
    ("name", "why"), [("distilled DeiT III", "positions for its two tokens"), ("nano RegNet", "is a RegNet at nano")]
)
def test_a_network_that_timm_cannot_build_has_the_other_formats(
    name: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    network = trained(NOT_IN_TIMM[name]())
    with pytest.raises(ConfigError, match=rf"{why}.*pass format=onnx or format=torch"):
        possible(network, Format.safetensors)
    assert possible(network, Format.all) == ([Format.onnx, Format.torch], None)
    assert why in capsys.readouterr().out
    answer = Answer(network, preprocess=False)
    found = differences(program.traced(answer).module(), answer)
    assert max(found.values()) <= TOLERANCE


@pytest.mark.parametrize("fusion", Fusion)
def test_the_softmax_of_fused_logits_is_what_both_heads_hold_probable(fusion: Fusion) -> None:
    one, other = torch.randn(2, 5, 10, generator=torch.Generator().manual_seed(0)) * 30
    fused = fused_logits(one, other, fusion).softmax(dim=-1)
    torch.testing.assert_close(fused, probabilities(one, other, fusion)["fused"])


@pytest.mark.parametrize("found", [{1: 0.0, 7: 1.01e-4}, {1: float("nan"), 7: 0.0}])
def test_what_answers_otherwise_is_refused(found: dict[int, float]) -> None:
    with pytest.raises(RunError, match=r"does not answer as the network does: logits differ by up to"):
        refuse_another(found, "model.onnx")
    refuse_another({1: 0.0, 7: 0.99e-4}, "model.onnx")


def test_a_file_that_answers_otherwise_is_not_left(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = onnx_file._runtime
    monkeypatch.setattr(onnx_file, "_runtime", lambda *given: lambda images: [one + 1 for one in right(*given)(images)])
    with pytest.raises(RunError, match=r"model\.onnx does not answer"):
        export(Request(checkpoint=str(run), output=tmp_path / "out", format=Format.onnx))
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_onnx_cannot_express_is_refused_with_another_format(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.onnx.OnnxExporterError("No decomposition for aten.odd\nmore")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(ConfigError, match=r"cannot express this network \(No decomp.*odd\); pass format=torch"):
        export(Request(checkpoint=str(run), output=tmp_path / "out", format=Format.onnx))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", [Format.safetensors, Format.torch, Format.onnx])
def test_a_full_disk_is_named_and_nothing_is_left(
    run: Path, small_disk: Callable[[int], SmallDisk], format: Format
) -> None:
    disk = small_disk(100)  # less than the weights
    with pytest.raises(RunError, match="cannot be written"):
        export(Request(checkpoint=str(run), output=disk.folder / "out", format=format))
    assert list(disk.folder.iterdir()) == []


def test_averaged_weights_that_are_not_there_are_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no averaged weights; pass ema=false"):
        export(Request(checkpoint=str(exported), output=tmp_path / "out", ema=True))
    assert list(tmp_path.iterdir()) == []


def test_an_export_can_be_exported_again(exported: Path, tmp_path: Path) -> None:
    export(Request(checkpoint=str(exported), output=tmp_path / "again"))
    assert (tmp_path / "again" / "config.json").read_bytes() == (exported / "config.json").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_an_official_file_becomes_every_format(architecture: str, tmp_path: Path) -> None:
    net = timm.create_model(architecture).eval()
    torch.save({"model": net.state_dict()}, tmp_path / "official.pth")
    export(Request(checkpoint=str(tmp_path / "official.pth"), output=tmp_path / "out", format=Format.all))
    images = pixels(7, 224)
    network = read_trained(tmp_path / "official.pth")
    given = normalised(images, network)
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    for batch in (given[:1], given):
        heads = [torch.from_numpy(one) for one in session.run(None, {"images": batch.numpy()})]
        average = heads[0] if len(heads) == 1 else (heads[1] + heads[2]) / 2
        with torch.no_grad():
            torch.testing.assert_close(average, net(batch), rtol=0, atol=TOLERANCE)
    loaded = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    with torch.no_grad():
        torch.testing.assert_close(loaded(given), net(given), rtol=0, atol=0)
    assert json.loads((tmp_path / "out" / "labels.json").read_text())[0] == "tench"


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NETWORKS, *NOT_IN_TIMM])
def test_every_family_becomes_onnx(name: str, tmp_path: Path) -> None:
    answer = Answer(trained((NETWORKS | NOT_IN_TIMM)[name]()), preprocess=True)
    found = onnx_file.save(program.traced(answer), answer, tmp_path, {})
    assert list(found) == [1, 7]
    assert max(found.values()) <= TOLERANCE
