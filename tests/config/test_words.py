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
