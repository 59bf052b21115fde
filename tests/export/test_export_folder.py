"""The folder of an export comes whole or not at all, and never over somebody's work."""

import json
from pathlib import Path

import pytest

from deit.config.errors import RunError
from deit.export import hub
from deit.export.folder import RECORD, problems, seal, whole


def exported(output: Path, text: str = "one") -> None:
    with whole(output) as draft:
        (draft / "README.md").write_text(text)
        seal(draft, {"name": "mine"})


def test_it_is_there_with_its_record_once_all_is_written(tmp_path: Path) -> None:
    exported(tmp_path / "deep" / "out")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    record = json.loads((tmp_path / "deep" / "out" / RECORD).read_text())
    assert (record["schema"], record["name"], list(record["files"])) == (1, "mine", ["README.md"])


def test_an_earlier_export_gives_way(tmp_path: Path) -> None:
    output = tmp_path / "out"
    exported(output)
    (said,) = problems(output)
    assert said.endswith("an earlier export. Pass overwrite=true or another.")
    assert list(problems(output, overwrite=True)) == []
    exported(output, "two")
    assert (output / "README.md").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_export_that_ends_early_leaves_what_was_there(tmp_path: Path) -> None:
    output = tmp_path / "out"
    exported(output)
    with pytest.raises(KeyboardInterrupt), whole(output) as draft:
        (draft / "README.md").write_text("half")
        raise KeyboardInterrupt
    assert (output / "README.md").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_disk_that_takes_no_more_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"out cannot be written \(No space left"), whole(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_an_export_in_which_somebody_wrote_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "out"
    exported(output)
    (output / "README.md").write_text("one, license: mit")
    (output / "LICENSE").write_text("")
    (said,) = problems(output, overwrite=True)
    assert "is an earlier export in which LICENSE, README.md changed since, and would be lost" in said


def test_a_folder_of_others_is_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    (said,) = problems(tmp_path)
    assert said.startswith(f"output={tmp_path} holds files that are no earlier export; pass another output=<folder>")
    (said,) = problems(tmp_path / "thesis.tex")
    assert said.endswith("is a file; pass output=<folder>")
    (said,) = problems(tmp_path / "net.onnx")
    assert said.endswith(f"a file's name. Pass output={tmp_path}/net.")
    (tmp_path / "empty").mkdir()
    assert list(problems(tmp_path / "empty")) == []


class Hub:
    """Stands in for huggingface_hub.HfApi: what was asked of it, and what it says."""

    def __init__(self, *, has_card: bool = False, private: bool = True, fault: str = "") -> None:
        self.has_card, self.is_private, self.fault = has_card, private, fault
        self.made: dict[str, object] = {}
        self.uploaded: dict[str, object] = {}

    def create_repo(self, repository: str, *, private: bool, exist_ok: bool) -> str:
        if self.fault:
            raise OSError(self.fault)
        self.made = {"repository": repository, "private": private, "exist_ok": exist_ok}
        return f"https://hub/{repository}"

    def file_exists(self, repository: str, name: str) -> bool:
        return self.has_card

    def upload_folder(self, **given: object) -> None:
        self.uploaded = given

    def model_info(self, repository: str) -> "Hub":
        return self

    @property
    def private(self) -> bool:
        return self.is_private


def test_a_push_makes_a_private_repository_and_uploads_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Hub()
    monkeypatch.setattr(hub, "HfApi", lambda: api)
    assert hub.push(tmp_path, "me/mine", private=True) == "pushed to https://hub/me/mine (private)"
    assert api.made == {"repository": "me/mine", "private": True, "exist_ok": True}
    assert (api.uploaded["repo_id"], api.uploaded["folder_path"]) == ("me/mine", tmp_path)
    assert api.uploaded["ignore_patterns"] is None


def test_a_repository_that_exists_keeps_its_card_and_says_who_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Hub(has_card=True, private=False)
    monkeypatch.setattr(hub, "HfApi", lambda: api)
    assert hub.push(tmp_path, "me/mine", private=True).endswith("(public; its own card was kept)")
    assert api.uploaded["ignore_patterns"] == ["README.md"]


def test_a_push_that_fails_leaves_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HfApi", lambda: Hub(fault="401 Unauthorized"))
    with pytest.raises(RunError, match=r"me/mine was not pushed \(401 Unauthorized\); .* is complete"):
        hub.push(tmp_path, "me/mine", private=True)
