"""The page is one file that needs no network and shows what came from files as text."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from deit.report.contents import gather
from deit.report.files import write
from deit.report.page import page, thinned

Leave = Callable[..., Path]


class Seen(HTMLParser):
    """Elements with their attributes, and the text of every script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script":
            self.scripts.append(data)
            self.elements.append(("", {}))


def test_what_came_from_a_file_is_text(leave_run: Leave, tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    harmful = tmp_path / "s" / "<script>alert(2)<" / "img src=x onerror=alert(3)>"
    leave_run(harmful, "seed=1", status="failed", error=f"{evil}<b>&", overrides=[evil], environment={"torch": evil})
    config = (harmful / "config.yaml").read_text().replace("name: deit_ti", f"name: '{evil}\" onload=\"x'")
    (harmful / "config.yaml").write_text(config.replace("method: hard", f"method: '{evil}'"))
    leave_run(tmp_path / "s/1", metrics={"test/acc1": 1.0})
    (leave_run(tmp_path / "s" / "<i>") / "run.json").write_text('{"schema": "<u>", "status": 1}')
    text = page(gather([tmp_path / "s"]))
    seen = Seen(text)
    assert [tag for tag, _ in seen.elements].count("script") == 2
    assert not {"img", "b:", "i:", "u"} & {tag for tag, _ in seen.elements}
    assert not any(name.startswith("on") for _, attributes in seen.elements for name in attributes)
    assert evil not in text
    assert "&lt;script&gt;alert(2)&lt;" in text
    curves = json.loads(seen.scripts[0])
    assert any("<script>alert(2)<" in run["name"] for run in curves["runs"])


HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style></svg><script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)",
    "javascript:alert(1)",
    "<img src=x onerror=alert(1)>",
    "<!--<script>",
    "{{ 7 * 7 }}{% for x in y %}",
    r"$\frac{1}{0}$ $x",
    "](javascript:alert(1))",
]


@pytest.mark.parametrize("evil", HOSTILE)
def test_every_text_of_a_run_may_be_hostile(leave_run: Leave, tmp_path: Path, evil: str) -> None:
    """Its folder, its overrides, its configuration, its metrics' names, its error, what git said: also in plots."""
    for number, method in enumerate(("none", "hard")):
        run = leave_run(
            tmp_path / "s" / evil.replace("/", "-") / str(number),
            f"distill={method}",
            metrics={"test/acc1": 90.0 + number, "val/acc1": 1.0, "teacher/acc1": 99.0, evil: 1.0},
            overrides=[f"name={evil}"],
            timing={"images_per_s": 100.0, f"{evil}_s": 1.0},
            environment={"git": evil, "date": evil, "torch": evil, "platform": evil},
            error=evil,
        )
        settings = yaml.safe_load((run / "config.yaml").read_text())
        settings["name"] = settings["init"] = settings["model"]["name"] = settings["data"]["name"] = evil
        settings["scale"]["name"] = settings["teacher"]["name"] = evil
        (run / "config.yaml").write_text(yaml.safe_dump(settings))
        (run / "metrics.csv").write_text(
            f'step,epoch,val/acc1,"{evil.replace(chr(34), chr(34) * 2)}"\n1,0,50,1\n2,1,51,2\n'
        )
    leave_run(tmp_path / "s/other", status=evil, metrics={"test/acc1": 1.0})
    contents = gather([tmp_path / "s"])
    write(contents, tmp_path / "report")
    seen = Seen((tmp_path / "report/report.html").read_text())
    tags = [tag for tag, _ in seen.elements]
    assert tags.count("script") == 2
    assert tags.count("style") == 1 + sum(1 for plot in contents.plots if "<style" in plot.svg)
    assert "img" not in tags
    for _, attributes in seen.elements:
        assert not any(name.startswith("on") for name in attributes)
        assert not any((value or "").startswith("javascript:") for name, value in attributes.items() if name == "href")
    lines = (tmp_path / "report/report.md").read_text()
    assert not re.search(r"(?<!\\)<(script|img)|(?<!\\)\]\(javascript", lines)


def test_nothing_is_fetched(table3_sweep: Path) -> None:
    text = page(gather([table3_sweep]))
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert not re.search(
        r"https?://|\bsrc=|<link|@import|url\((?!#)", without_names.replace("http://www.w3.org/2000/svg", "")
    )
    policy = next(a["content"] for tag, a in Seen(text).elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")


def test_only_known_fields_are_shown(leave_run: Leave, tmp_path: Path) -> None:
    run = leave_run(
        tmp_path / "a", metrics={"test/acc1": 1.0}, environment={"WANDB_API_KEY": "hunter2"}, secret="hunter2"
    )
    (run / "config.yaml").write_text((run / "config.yaml").read_text() + "password: hunter2\n")
    (run / "train.log").write_text("hunter2")
    assert "hunter2" not in page(gather([tmp_path]))


def test_dry_runs_are_marked(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "a", "trainer.limit_batches=2", metrics={"test/acc1": 1.0})
    text = page(gather([tmp_path]))
    assert '<b class="tag">dry run</b>' in text
    assert "1 of them dry runs" in text


def test_every_run_has_its_command(table3_sweep: Path) -> None:
    commands = re.findall(r'<code class="command">(.*?)</code>', page(gather([table3_sweep])))
    assert len(commands) == 48
    assert commands[0] == "python src/train.py distill=none model=deit_ti seed=0"


def test_curves_are_thinned_to_their_ends() -> None:
    curve = [(float(i), i / 3) for i in range(1000)]
    assert thinned(curve, 4) == [(0, 0), (333, 111), (666, 222), (999, 333)]
    assert thinned(curve[:3], 4) == [(0, 0), (1, 0.33333), (2, 0.66667)]
    assert thinned(curve[:1], 4) == [(0, 0)]
