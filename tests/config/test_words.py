from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deit.config import words
from deit.config.errors import ConfigError
from deit.config.values import Choice


class Form(Choice):
    table = "table"
    json = "json"


@dataclass(kw_only=True)
class Asked:
    checkpoint: str
    images: list[str] = field(default_factory=list)
    top: int = 5
    attention: bool = False
    form: Form = Form.table
    output: Path | None = None


EXAMPLES = {
    "checkpoint": "logs/runs/<run>",
    "images": "photo.jpg",
    "top": "5",
    "attention": "true",
    "form": "json",
    "output": "out",
}


def test_words_become_the_fields_types() -> None:
    typed = ["checkpoint=1e5", "images=a.jpg,b c.jpg", "top=3", "attention=true", "form=json", "output=a=b"]
    read = words.read(Asked, typed, EXAMPLES)
    assert read == Asked(
        checkpoint="1e5", images=["a.jpg", "b c.jpg"], top=3, attention=True, form=Form.json, output=Path("a=b")
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("lr=0.1,bs=16", ["lr=0.1,bs=16"]),
        ("a,lr=0.1,bs=16,b", ["a", "lr=0.1,bs=16", "b"]),
        ("'lr=0.1,bs=16'", ["lr=0.1,bs=16"]),
        ('"not there, yet",b', ["not there, yet", "b"]),
        ("one,two,three", ["one,two,three"]),
        ("one,two,four", ["one", "two", "four"]),
        ("it's,a", ["it's", "a"]),
        ("a,,b,", ["a", "b"]),
        (",", []),
        (f"{'x' * 5000},b", ["x" * 5000, "b"]),
    ],
)
def test_a_path_that_exists_keeps_its_commas(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, parts: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("lr=0.1,bs=16", "lr=0.1", "a", "one,two,three", "one"):
        (tmp_path / name).mkdir()
    assert words.listed(text) == parts
    assert words.read(Asked, ["checkpoint=a", f"images={text}"], EXAMPLES).images == parts


def test_texts_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "'kept'").mkdir()
    typed = ["checkpoint=${oc.env:HOME}", "output='in quotes'", "images='kept',${x}"]
    read = words.read(Asked, typed, EXAMPLES)
    assert (read.checkpoint, read.output, read.images) == ("${oc.env:HOME}", Path("in quotes"), ["'kept'", "${x}"])


def test_what_is_not_typed_is_the_default() -> None:
    assert words.read(Asked, ["checkpoint=x"], EXAMPLES) == Asked(checkpoint="x")


def test_all_mistakes_are_told_at_once() -> None:
    typed = ["top=x", "attention=ja", "form=xml", "--outpt=3", "images=", "bla", "top=3"]
    with pytest.raises(ConfigError) as error:
        words.read(Asked, typed, EXAMPLES)
    told = str(error.value)
    for part in (
        "top=x must be a whole number; pass top=5",
        "attention=ja must be true or false; pass attention=true",
        "form=xml must be one of table, json; pass form=json",
        "'--outpt=3' is not understood; possible: checkpoint=…, images=…, top=…",
        "pass output=3",
        "images is empty",
        "'bla' is not understood",
        "top is given twice",
        "checkpoint must be given; pass checkpoint=logs/runs/<run>",
    ):
        assert part in told


def test_a_mistake_ends_with_status_2_and_help_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        words.taken(Asked, ["top=x"], "usage", EXAMPLES)
    assert ended.value.code == 2
    assert "2 problems" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        words.taken(Asked, ["--help"], "usage", EXAMPLES)
    assert ended.value.code == 0
    assert capsys.readouterr().out == "usage"
