"""The report in a real browser (`make test-browser`; it needs Chromium with its driver, and selenium)."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parents[2]
EXPERIMENTS = {"tiny": "searched-s1", "tiny_transfer": "searched-s3"}
FIGURES = {"found_vs_random", "shared_vs_test", "search", "candidates", "augment", "cell-best-random"}
TABLES = {"comparison", "networks", "settings"}
SUBCATEGORIES = ["1 Result", "2 Search", "3 Training", "4 Cells", "5 Settings"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two experiments."""
    folder = tmp_path_factory.mktemp("report")
    targets = [f"results/{name}/report/complete" for name in EXPERIMENTS]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "-d", str(folder)]
    command += ["--configfile", str(ROOT / "tests/configs/tiny.yaml"), "--cores", "2", "--quiet", "--"]
    subprocess.run([*command, *targets], check=True)
    offline = os.environ | dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    made = subprocess.run([*command[:-2], "--report", "results/report.html", "--", *targets], env=offline)
    assert made.returncode == 0
    return folder / "results/report.html"


@pytest.fixture(scope="module")
def browser(report: Path) -> Iterator[WebDriver]:
    """A browser without a network, with the report loaded."""
    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--window-size=1500,1000",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    driver = webdriver.Chrome(options, webdriver.ChromeService(os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver")))
    driver.get(report.as_uri())
    WebDriverWait(driver, 60).until(lambda d: d.find_elements(By.LINK_TEXT, "tiny"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def results(browser: WebDriver) -> dict[str, Any]:
    """What the page says that it holds, by path."""
    return browser.execute_script("return results")


def content(entry: dict[str, Any]) -> str:
    return base64.b64decode(entry["data_uri"].partition("base64,")[2]).decode()


def test_everything_is_there(results: dict[str, Any]) -> None:
    for name, network in EXPERIMENTS.items():
        expected = {f"results/{name}/report/{figure}.svg" for figure in FIGURES | {f"cell-{network}"}}
        expected |= {f"results/{name}/report/{table}.html" for table in TABLES} | {f"results/{name}/comparison.csv"}
        assert expected <= set(results)


def test_every_result_has_a_caption_and_a_label(results: dict[str, Any]) -> None:
    for path, entry in results.items():
        assert len(entry["caption"]) > 40, path
        assert entry["labels"]["figure"], path


def test_every_figure_and_table_is_shown(browser: WebDriver, results: dict[str, Any]) -> None:
    shown = 0
    for name in EXPERIMENTS:
        for subcategory in SUBCATEGORIES:
            browser.execute_script(f"app.showCategory({json.dumps(name)})")
            click(browser, subcategory)
            for row in browser.find_elements(By.CSS_SELECTOR, "#app tbody tr"):
                button = row.find_element(By.CSS_SELECTOR, "a")
                if "csv" in row.text.lower():
                    assert button.get_attribute("download") == "comparison.csv"
                    continue
                button.click()
                check_shown(browser, f"{name}, {subcategory}, {row.text}")
                shown += 1
    assert shown == len([path for path in results if not path.endswith(".csv")])


def click(browser: WebDriver, text: str) -> None:
    WebDriverWait(browser, 10).until(lambda d: d.find_elements(By.LINK_TEXT, text))[0].click()


def check_shown(browser: WebDriver, what: str) -> None:
    """The picture is drawn, or the table has rows, and a click on a column sorts them."""
    if browser.execute_script("return app.state.content") == "img":
        shown = "[...document.querySelectorAll('#app img')].find(i => i.src === app.state.contentPath)"
        WebDriverWait(browser, 10).until(lambda d: d.execute_script(f"return {shown}?.naturalWidth > 300"), what)
        return
    try:
        WebDriverWait(browser, 10).until(cells_in_frame, what)
        browser.find_element(By.CSS_SELECTOR, "th button").click()
        table = browser.find_element(By.CSS_SELECTOR, "table")
        column = [cell.text for cell in table.find_elements(By.CSS_SELECTOR, "td:first-child")]
        assert any(column), what
        assert column == sorted(column), what
    finally:
        browser.switch_to.default_content()


def cells_in_frame(browser: WebDriver) -> bool:
    """Whether the frame's table is there; the frame is looked up again until it has loaded."""
    browser.switch_to.default_content()
    browser.switch_to.frame(browser.find_element(By.CSS_SELECTOR, "iframe"))
    return bool(browser.find_elements(By.CSS_SELECTOR, "tbody td"))


def test_figures_hold_data(results: dict[str, Any]) -> None:
    for path, entry in results.items():
        if path.endswith(".svg"):
            assert content(entry).count("<path") + content(entry).count("<use") > 30, path


def test_transferred_and_named_networks_are_listed(results: dict[str, Any]) -> None:
    assert "all_identity" in content(results["results/tiny/report/networks.html"])
    assert "transfer" in content(results["results/tiny_transfer/report/networks.html"])


def test_too_few_networks_are_said_to_be_too_few(results: dict[str, Any]) -> None:
    page = content(results["results/tiny/report/comparison.html"])
    assert "cannot give less than 0.333; p &lt; 0.05 needs at least 20 random networks" in page
    assert "an interval needs at least" in page


def test_console_has_no_errors(browser: WebDriver) -> None:
    """Last, when everything has been looked at."""
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
