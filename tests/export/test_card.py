"""A model card shows what strangers wrote, and executes none of it."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from test_export_formats import SHAPE, trained
from timm.models.vision_transformer import VisionTransformer

from deit.config.schema import Config
from deit.export import card
from deit.export.answer import Answer
from deit.export.request import Format, Request

HOSTILE = (
    "x\n```\n\n<script>alert(1)</script>\n# [click](javascript:alert(1)) `a` ![i](http://e/i.png) \x1b]0;t\x07\n---\n"
)


def written(folder: Path, name: str, config: Config | None = None, checkpoint: str = "a.pth") -> str:
    network = replace(trained(VisionTransformer(**SHAPE)), name=name, config=config)
    answer = Answer(network, preprocess=False)
    card.write(folder, Request(checkpoint=checkpoint, output=folder), network, answer, {Format.torch: {1: 0.0, 7: 0.0}})
    return (folder / card.FILE).read_text()


def test_names_of_strangers_are_no_markup(tmp_path: Path) -> None:
    plain, hostile = written(tmp_path, "mine"), written(tmp_path, HOSTILE)
    line = next(line for line in hostile.splitlines() if line.startswith("The weights came from x&#63;&#96;&#96;&#96;"))
    assert not set("<>[]`\x1b\x07") & set(line)
    assert hostile.replace(line, "") == plain.replace("The weights came from mine; more is not recorded.", "")


@pytest.mark.parametrize("override", [f"name={HOSTILE}", "data.root=/a\n```\n<img src=x>", "name=a\r```\u2028b"])
def test_an_override_stays_in_its_block_of_code(tmp_path: Path, config: Callable[..., Config], override: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    record = {
        "status": "done",
        "metrics": {"test/acc1": 50.0},
        "overrides": [override, "seed=1"],
        "test_split": HOSTILE,
    }
    (folder / "run.json").write_text(json.dumps(record))
    text = written(tmp_path, "mine", config("distill=none"), str(folder))
    _, header, body = text.split("---\n", 2)
    assert yaml.safe_load(header)["library_name"] == "pytorch"
    lines = re.split("[\n\r\u2028]", body)
    (command,) = [number for number, line in enumerate(lines) if line.startswith("python src/train.py ")]
    assert (lines[command - 1], lines[command + 1]) == ("```", "```")
    outside = "\n".join([*lines[:command], *lines[command + 1 :]])
    assert outside.count("```") == 4, "one block of the command, one of how to load it"
    assert [part for part in ("<script", "<img", "](java", "\x1b") if part in outside] == []
