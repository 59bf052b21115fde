"""A report's page in headless Chromium: it opens from a file, sorts, filters, draws, and asks for nothing else."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deit.report.contents import gather
from deit.report.files import write
from deit.report.texts import NOTHING

selenium = pytest.importorskip("selenium", reason="selenium is not installed (pip install -e '.[dev]')")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.remote.webdriver import WebDriver  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

BROWSER, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None, reason="no Chromium with its driver (Debian's chromium and chromium-driver)"
)
EVIL = "</script><script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def page(leave_run: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 runs of 300 epochs: five models and methods each with six seeds; the last failed, and one is hostile."""
    folder = tmp_path_factory.mktemp("page")
    choices = [(model, method) for model in ("deit_ti", "deit_b") for method in ("none", "soft", "hard")]
    choices += [("deit_s", method) for method in ("none", "soft", "hard")] + [("deit_ti", "hard")]
    for number in range(60):
        model, method = choices[number // 6]
        seed = number % 6 + 100 * (number >= 54)
        metrics = {"test/acc1": 90 - number / 10, "test/acc1_class": 80.0, "teacher/acc1": 99.0}
        overrides = (f"model={model}", f"distill={method}", f"seed={seed}")
        facts: dict = {"status": "failed", "error": EVIL} if number == 59 else {"metrics": metrics}
        run = leave_run(folder / "runs" / str(number), *overrides, **facts)
        names = (
            "val/acc1",
            "val/loss",
            "val/agreement",
            "train/loss",
            "train/loss_label",
            "train/loss_teacher",
            "train/lr",
        )
        rows = [
            f"{e},{e}," + ",".join(f"{(e + 1) ** 0.5 * (c + 1) + number:.8f}" for c in range(len(names)))
            for e in range(300)
        ]
        (run / "metrics.csv").write_text("\n".join([f"step,epoch,{','.join(names)}", *rows]))
    write(gather([folder / "runs"]), folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def driver() -> Iterator[WebDriver]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for argument in ("--headless=new", "--disable-gpu", "--window-size=1280,1000"):
        options.add_argument(argument)
    options.add_argument("--no-sandbox")  # which a container run by root cannot have; the page is ours
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


@pytest.fixture
def opened(driver: WebDriver, page: Path) -> WebDriver:
    driver.get(page.as_uri())
    return driver


def column(driver: WebDriver, name: str) -> list[str]:
    """Texts of a column of the runs that are shown."""
    script = """
        const headers = [...document.querySelectorAll("#run-table thead th")].map(th => th.textContent.trim());
        const at = headers.indexOf(arguments[0]);
        const rows = [...document.querySelectorAll("#run-table tbody tr:not([hidden])")];
        return rows.map(row => row.cells[at].textContent.trim());
    """
    return driver.execute_script(script, name)


def click_header(driver: WebDriver, name: str) -> None:
    (header,) = (b for b in driver.find_elements(By.CSS_SELECTOR, "#run-table thead button") if b.text == name)
    header.click()


def test_sixty_runs_stay_under_five_megabytes(page: Path) -> None:
    assert page.stat().st_size < 5_000_000


def test_nothing_but_the_page_is_asked_for_and_nothing_is_refused(opened: WebDriver, page: Path) -> None:
    assert opened.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    assert asked == {page.as_uri()}


def test_a_column_sorts_up_then_down_and_what_is_missing_stays_last(opened: WebDriver) -> None:
    click_header(opened, "test")
    up = column(opened, "test")
    assert up[-1] == NOTHING
    assert [float(text) for text in up[:-1]] == sorted(90 - n / 10 for n in range(59))
    click_header(opened, "test")
    down = column(opened, "test")
    assert down == [*reversed(up[:-1]), NOTHING]
    click_header(opened, "configuration")
    assert column(opened, "configuration") == sorted(column(opened, "configuration"))


def test_tables_of_the_paper_sort_by_any_of_their_columns(opened: WebDriver) -> None:
    script = (
        "return [...document.querySelectorAll('#table3-nano-digits tbody tr')].map(row => row.cells[1].textContent)"
    )
    assert opened.execute_script(script) == ["72.2", "72.2", "74.3", "73.9", "74.6", "74.5"]
    opened.find_elements(By.CSS_SELECTOR, "#table3-nano-digits thead tr:last-child button")[0].click()
    assert opened.execute_script(script) == ["72.2", "72.2", "73.9", "74.3", "74.5", "74.6"]


def test_filters_and_text_narrow_the_runs_and_their_curves(opened: WebDriver) -> None:
    shown = opened.find_element(By.ID, "shown")
    curves = "return document.querySelectorAll('#chart path').length"
    assert (shown.text, opened.execute_script(curves)) == ("60 of 60 runs", 60)
    Select(opened.find_element(By.CSS_SELECTOR, "[data-facet=model]")).select_by_visible_text("deit_s")
    assert (shown.text, opened.execute_script(curves)) == ("18 of 60 runs", 18)
    Select(opened.find_element(By.CSS_SELECTOR, "[data-facet=distill]")).select_by_visible_text("hard + token")
    assert column(opened, "seed") == ["0", "1", "2", "3", "4", "5"]
    opened.find_element(By.ID, "text").send_keys("seed=4")
    assert column(opened, "run")[0].startswith("runs/52")
    assert (shown.text, opened.execute_script(curves)) == ("1 of 60 runs", 1)
    opened.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    assert opened.execute_async_script("setTimeout(arguments[0], 50)") is None
    assert shown.text == "60 of 60 runs"
    Select(opened.find_element(By.CSS_SELECTOR, "[data-facet=status]")).select_by_visible_text("failed")
    assert shown.text == "1 of 60 runs"


def test_each_figure_and_each_colour_draws(opened: WebDriver) -> None:
    metric, colour = (Select(opened.find_element(By.ID, name)) for name in ("metric", "colour"))
    assert [option.text for option in metric.options][:2] == ["val/acc1", "val/loss"]
    drawn = set()
    for option in metric.options:
        metric.select_by_visible_text(option.text)
        paths = opened.find_elements(By.CSS_SELECTOR, "#chart path")
        assert len(paths) == 60
        drawn.add(paths[0].get_attribute("d"))
    assert len(drawn) == len(metric.options)
    colour.select_by_visible_text("distill")
    assert {item.text for item in opened.find_elements(By.CSS_SELECTOR, "#legend li")} == {
        "none",
        "soft + token",
        "hard + token",
    }


def test_a_hostile_text_does_nothing(opened: WebDriver) -> None:
    assert opened.title.startswith("Report: 60 runs")
    assert EVIL in opened.execute_script("return document.querySelector('[data-run=\"59\"]').textContent")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_text_stands_out_and_the_page_is_as_wide_as_its_window(
    opened: WebDriver, page: Path, scheme: str, width: int
) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", media)  # pyright: ignore[reportAttributeAccessIssue]
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)  # pyright: ignore[reportAttributeAccessIssue]
    opened.get(page.as_uri())
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    ink, ground = (
        sum(map(int, opened.execute_script(f"return getComputedStyle(document.body).{what}")[4:-1].split(",")))
        for what in ("color", "backgroundColor")
    )
    assert (ink < ground) == (scheme == "light")
    assert abs(ink - ground) > 500  # of 765 between black and white
    fills = opened.execute_script(
        "return [...document.querySelectorAll('figure svg text')].map(t => getComputedStyle(t).fill)"
    )
    assert fills
    assert set(fills) == {opened.execute_script("return getComputedStyle(document.body).color")}
