"""Which runs can have a dashboard, and a stand-in for the service that takes one."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import commands
from conftest import Outcome
from deit.config.errors import ConfigError
from deit.config.ledger import frozen_file
from deit.report.contents import gather
from deit.report.upload import Place, find_place

Leave = Callable[..., Path]
KEY = 40 * "a"
needs_package = pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", "import wandb_workspaces"], capture_output=True, check=False).returncode != 0,
    reason="the extra dashboard is not installed",
)


@pytest.fixture
def leave_job(leave_run: Leave, tmp_path: Path) -> Callable[..., Path]:
    """Leave the folder of a sweep's job, which a sweep has frozen; the sweep's folder."""

    def leave(sweep: str, job: str, *overrides: str) -> Path:
        leave_run(tmp_path / sweep / job, *overrides, metrics={"test/acc1": 90.0})
        frozen = frozen_file(tmp_path / sweep, job)
        frozen.parent.mkdir(exist_ok=True)
        frozen.touch()
        return tmp_path / sweep

    return leave


def environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return inherited | {"NETRC": os.devnull} | variables


def report(folder: Path, *arguments: str, **variables: str) -> Outcome:
    return Outcome(commands.run("report.py", *arguments, cwd=folder, env=environment(**variables)))


@pytest.fixture
def with_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from wandb.sdk.lib import wbauth

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    yield
    wbauth.unauthenticate_session()  # a process remembers a key, and others may test what is without one


@needs_package
@pytest.mark.usefixtures("with_key")
def test_sweeps_of_one_project_can_be_shown_together(leave_job: Callable[..., Path]) -> None:
    mine = [leave_job(sweep, "0", "logger=wandb", "logger.wandb.entity=team") for sweep in ("a", "b")]
    other = leave_job("c", "0")
    assert find_place(gather([*mine, other])) == Place("deit", "team", ["a", "b"]), "what was not logged is not there"


@needs_package
@pytest.mark.usefixtures("with_key")
def test_sweeps_of_two_projects_are_refused(leave_job: Callable[..., Path]) -> None:
    sweeps = [leave_job(one, "0", "logger=wandb", f"logger.wandb.project={one}") for one in ("a", "b")]
    with pytest.raises(ConfigError, match="these are of a, b; pass the sweeps of one"):
        find_place(gather(sweeps))


def test_without_key_and_sweep_one_message_comes_before_anything_is_written(leave_run: Leave, tmp_path: Path) -> None:
    leave_run(tmp_path / "runs/a", "logger=wandb", metrics={"test/acc1": 90.0})
    outcome = report(tmp_path, "runs", "wandb=true")
    assert outcome.status == 2
    assert "wandb=true needs a key; type wandb login, or set WANDB_API_KEY=<key>" in outcome.said
    assert "pass the folder of a sweep that was started with logger=wandb" in outcome.said
    assert "Traceback" not in outcome.said
    assert not (tmp_path / "runs/report").exists()


def test_without_the_package_it_says_what_to_install(leave_job: Callable[..., Path], tmp_path: Path) -> None:
    leave_job("sweep", "0", "logger=wandb")
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/sitecustomize.py").write_text(
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'wandb_workspaces' else find(name, *rest)\n"
    )
    path = os.pathsep.join([str(tmp_path / "hidden"), os.environ.get("PYTHONPATH", "")])
    outcome = report(tmp_path, "sweep", "wandb=true", PYTHONPATH=path, WANDB_API_KEY=KEY)
    assert outcome.status == 2
    assert "needs the package wandb-workspaces; type pip install wandb-workspaces" in outcome.said
    assert not (tmp_path / "sweep/report").exists()


class Service(BaseHTTPRequestHandler):
    """Answers what a client asks of Weights & Biases; keeps what it is given."""

    views: list[dict]
    refuses: bool

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")
        viewer = {"id": "1", "username": "me", "entity": "my-team", "flags": "{}", "teams": {"edges": []}}
        data: dict[str, object] = {"viewer": viewer}
        if "upsertView" in asked.get("query", ""):
            self.views.append(asked["variables"])
            data = {"upsertView": {"view": {"id": "1", "name": "nw-made-v"}, "inserted": True}}
        refused = self.refuses and "upsertView" in data
        answer = json.dumps({"errors": [{"message": "permission denied"}]} if refused else {"data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(params=[False, True], ids=["takes it", "refuses it"])
def service(request: pytest.FixtureRequest) -> Iterator[tuple[str, type[Service]]]:
    """The address of a stand-in, and what it was given."""
    handler = type("Handler", (Service,), {"views": [], "refuses": request.param})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


@needs_package
def test_the_dashboard_is_sent_to_the_project_of_the_runs(
    leave_job: Callable[..., Path], tmp_path: Path, service: tuple[str, type[Service]]
) -> None:
    address, handler = service
    leave_job("sweep", "0", "logger=wandb")
    outcome = report(tmp_path, "sweep", "wandb=true", WANDB_BASE_URL=address, WANDB_API_KEY=KEY)
    assert (tmp_path / "sweep/report/report.html").is_file()
    (view,) = handler.views
    assert (view["entityName"], view["projectName"], view["displayName"]) == ("my-team", "deit", "sweep sweep")
    sections = json.loads(view["spec"])["section"]["panelBankConfig"]["sections"]
    assert [one["name"] for one in sections] == ["Accuracy", "Curves", "The paper's tables", "Test images"]
    if handler.refuses:
        assert outcome.status == 1
        assert "wandb did not take the dashboard" in outcome.said
        assert "permission denied" in outcome.said
        assert "Traceback" not in outcome.said
    else:
        assert outcome.status == 0, outcome.said
        assert f"dashboard: {address}/my-team/deit?nw=made" in outcome.said
