"""What src/evaluate.py left is shown, as text alone, and what is damaged is named."""

import copy
import json
from pathlib import Path

import pytest
from test_page import Seen

from deit.config.errors import ConfigError, RunError
from deit.report.contents import gather
from deit.report.evaluations import Evaluation, read, write
from deit.report.files import write as write_report
from deit.report.folders import Damaged
from deit.report.texts import NOTHING

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
HEAD = {
    "acc1": 50.0,
    "acc1_interval": [15.0, 85.0],
    "acc5": 100.0,
    "ece": 12.5,
    "nll": 0.75,
    "reliability": {"counts": [0, 4], "confidences": [0.0, 0.75], "accuracies": [0.0, 0.5]},
}
RESULT = {
    "heads": {"class": HEAD},
    "class_acc1": [100.0, 0.0],
    "confusion": [[0, 0, 2], [1, 0, 2]],
    "classes_predicted": 1,
    "collapsed": True,
}
RECORD = {
    "schema": 1,
    "data": "pets",
    "precision": "32-true",
    "limited": False,
    "environment": {"date": "2026-01-01"},
    "classes": ["cat", "dog"],
    "networks": [
        {"name": name, "checkpoint": f"{name}.pth", "answer": "class", "parameters": 5, "image_size": 28, "crop": 0.875,
         "token_cosine": []}
        for name in ("one", "other")
    ],
    "sets": [
        {
            "name": "test",
            "title": "pets, test",
            "images": 4,
            "of": 5,
            "num_classes": 2,
            "classes_with_images": 2,
            "majority_acc1": 50.0,
            "networks": [RESULT, RESULT],
            "comparison": {
                "names": ["ground truth", "one", "other"],
                "disagreement": [[0.0, 50.0, 50.0], [50.0, 0.0, 25.0], [50.0, 25.0, 0.0]],
                "mcnemar": [{"one": "one", "other": "other", "only_one": 1, "only_other": 2, "p": 0.0625}],
            },
        }
    ],
}  # fmt: skip


def leave(folder: Path, record: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(record))
    return folder


def test_an_evaluation_becomes_tables_plots_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = leave(tmp_path / "mine", RECORD)
    write(folder)
    said = capsys.readouterr().out
    assert "  one: top-1 50.00 % (95 % Wilson 15.00 to 85.00), ECE 12.50 %\n" in said
    assert "  majority class: top-1 50.00 %\n" in said
    assert "  warning: one predicts only 1 of 2 classes; compare its top-1 of 50.00 % with the majority class\n" in said
    text = (folder / "evaluation.md").read_text()
    for line in (
        "## pets, test: 4 images of 5, 2 classes",
        "| head | top-1 | 95 % | ECE | NLL |",
        r"| one, class head\* | 50.00 | 15.00 to 85.00 | 12.50 | 0.7500 |",
        "| majority class | 50.00 |",
        "| warning: other predicts only 1 of 2 classes; compare its top-1 of 50.00 % with the majority class |",
        "| one | 50.00 | 0.00 | 25.00 |",
        "| one | other | 1 | 2 | 0.0625 |",
        "| dog | cat | 2 |",
    ):
        assert line in text
    for plot in ("reliability-mine-test", "confusion-mine-test"):
        assert f"plots/{plot}.png" in text
        assert (folder / f"plots/{plot}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"plots/{plot}.svg").is_file()
    seen = Seen((folder / "evaluation.html").read_text())
    assert [tag for tag, _ in seen.elements].count("svg") == 2
    assert not {"script", "img", "link"} & {tag for tag, _ in seen.elements}, "it needs no network and runs nothing"


def test_top5_is_shown_from_ten_classes_on_and_old_records_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = copy.deepcopy(RECORD)
    images = old["sets"][0]
    images["num_classes"] = 10
    del images["majority_acc1"], images["networks"][0]["collapsed"], images["networks"][0]["classes_predicted"]
    del images["networks"][0]["heads"]["class"]["acc1_interval"]
    write(leave(tmp_path / "old", old))
    said = capsys.readouterr().out
    assert "  one: top-1 50.00 %, top-5 100.00 %, ECE 12.50 %\n" in said
    assert "majority" not in said.replace("with the majority class", "")
    row = rf"| one, class head\* | 50.00 | {NOTHING} | 100.00 | 12.50 | 0.7500 |"
    assert row in (tmp_path / "old/evaluation.md").read_text()


def test_what_came_from_an_evaluation_is_text(tmp_path: Path) -> None:
    record = json.loads(json.dumps(RECORD).replace('"cat"', json.dumps(EVIL)).replace("pets", "<b>"))
    record["networks"][0] |= {"name": EVIL, "checkpoint": EVIL}
    record["sets"][0]["comparison"]["names"][1] = EVIL
    folder = leave(tmp_path / "<i>", record)
    write(folder)
    write_report(gather([tmp_path]), tmp_path / "report")
    for page in (folder / "evaluation.html", tmp_path / "report" / "report.html"):
        text = page.read_text()
        tags = {tag for tag, _ in Seen(text).elements}
        assert not {"script", "img", "b", "i"} & tags
        assert EVIL not in text
        assert "&lt;script&gt;alert(1)" in text


def test_a_report_shows_evaluations_with_or_without_runs(tmp_path: Path) -> None:
    leave(tmp_path / "a", RECORD)
    leave(tmp_path / "b", RECORD | {"schema": 2})
    contents = gather([tmp_path, tmp_path / "a"])
    assert len(contents.evaluations) == 1, "once, though it was found twice"
    assert [one.reason.endswith("only schema 1 is understood here") for one in contents.damaged] == [True]
    write_report(contents, tmp_path / "report")
    assert "Evaluation: " in (tmp_path / "report/report.html").read_text()
    assert "## pets, test: disagreement" in (tmp_path / "report/report.md").read_text()


def test_a_folder_with_neither_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no runs in"):
        gather([tmp_path])


def without(*path: str | int) -> object:
    record = copy.deepcopy(RECORD)
    node = record
    for key in path[:-1]:
        node = node[key]  # pyright: ignore - of lists and dicts
    del node[path[-1]]  # pyright: ignore
    return record


DAMAGED = [
    [],
    {"schema": 1},
    without("sets", 0, "networks", 0),
    without("networks", 0, "answer"),
    RECORD | {"networks": [RECORD["networks"][0] | {"answer": "distill"}] * 2},
    RECORD | {"classes": ["cat"]},
    RECORD | {"classes": None},
    RECORD | {"sets": [RECORD["sets"][0] | {"networks": [RESULT | {"class_acc1": [1.0, 2.0, 3.0]}, RESULT]}]},
    RECORD | {"sets": [RECORD["sets"][0] | {"comparison": {"names": ["a"], "disagreement": [[1, 2]], "mcnemar": []}}]},
    RECORD | {"sets": [RECORD["sets"][0] | {"images": "many"}]},
]


@pytest.mark.parametrize("record", DAMAGED, ids=range(len(DAMAGED)))
def test_a_record_that_is_not_whole_is_named(record: object, tmp_path: Path) -> None:
    found = read(leave(tmp_path / "mine", record), "mine")
    assert isinstance(found, Damaged)
    assert "\n" not in found.reason
    with pytest.raises(RunError, match="damaged, or not an evaluation's"):
        write(tmp_path / "mine")


def test_a_whole_record_is_read(tmp_path: Path) -> None:
    assert isinstance(read(leave(tmp_path / "mine", RECORD), "mine"), Evaluation)
