"""Both reports in a real browser (`make test-browser`; it needs Chromium with its driver, and selenium).

Snakemake's, and the page of one or several experiments."""

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
FIGURES = {"found_vs_random", "shared_vs_test", "search", "candidates", "augment", "cells/best-random"}
TABLES = {"comparison", "networks", "settings"}
SUBCATEGORIES = ["1 Result", "2 Search", "3 Training", "4 Cells", "5 Settings"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two experiments."""
    folder = tmp_path_factory.mktemp("report")
    targets = [f"results/{name}/{file}" for name in EXPERIMENTS for file in ("report.html", "report/complete")]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "-d", str(folder)]
    command += ["--configfile", str(ROOT / "tests/configs/tiny.yaml"), "--cores", "2", "--quiet", "--"]
    subprocess.run([*command, *targets], check=True)
    offline = os.environ | dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    made = subprocess.run([*command[:-2], "--report", "results/report.html", "--", *targets], env=offline)
    assert made.returncode == 0
    return folder / "results/report.html"


def start_browser() -> WebDriver:
    """A browser without a network."""
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
    return webdriver.Chrome(options, webdriver.ChromeService(os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver")))


@pytest.fixture(scope="module")
def browser(report: Path) -> Iterator[WebDriver]:
    """A browser with Snakemake's report loaded."""
    driver = start_browser()
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
        expected = {f"results/{name}/report/{figure}.svg" for figure in FIGURES | {f"cells/{network}"}}
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


# --- the page of an experiment ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pages(report: Path) -> Iterator[WebDriver]:
    """A browser for the pages, which lie beside the report."""
    subprocess.run(
        [sys.executable, "-m", "enas_core.report", *EXPERIMENTS, "--out", "both.html"],
        cwd=report.parent,
        check=True,
    )
    driver = start_browser()
    yield driver
    driver.quit()


PAGES = ["tiny/report.html", "tiny_transfer/report.html", "both.html"]


def show(driver: WebDriver, page: Path, width: int, scheme: str) -> None:
    """Load a page in a window of this width and in the colour scheme `light` or `dark`, and unfold all of it."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(page.as_uri())
    driver.execute_script("for (const part of document.querySelectorAll('details')) part.open = true")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [800, 1200])
def test_nothing_is_wider_than_the_window(pages: WebDriver, report: Path, name: str, width: int) -> None:
    show(pages, report.parent / name, width, "light")
    assert pages.execute_script("return document.documentElement.scrollWidth") <= width
    if width == 1200:  # in a narrower one, a table may be scrolled
        wide = "return [...document.querySelectorAll('.scroll')].filter(t => t.scrollWidth > t.clientWidth).length"
        assert pages.execute_script(wide) == 0


CONTRAST = """
const light = colour => {
  const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(part => part / 255)
    .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
};
const paper = light(getComputedStyle(document.body).backgroundColor);
const contrast = colour => {
  const [low, high] = [light(colour), paper].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
};
return [...document.querySelectorAll("h1, h2, p, td, dd, dt, figcaption, summary, .state, svg text")]
  .map(part => [part.textContent, getComputedStyle(part)])
  .map(([text, style]) => [text, contrast(style.fill !== "rgb(0, 0, 0)" ? style.fill : style.color)])
  .filter(([text, value]) => value < 4.4);
"""
"""Texts that can hardly be read on the page's background: WCAG 2.2 asks for a contrast of 4.5."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read(pages: WebDriver, report: Path, scheme: str) -> None:
    show(pages, report.parent / "tiny/report.html", 1200, scheme)
    paper = pages.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 25, 29)"}[scheme]
    assert pages.execute_script(CONTRAST) == []


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_is_drawn(pages: WebDriver, report: Path, name: str) -> None:
    show(pages, report.parent / name, 1200, "light")
    sizes = pages.execute_script(
        "return [...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().width)"
    )
    assert len(sizes) > 8
    assert min(sizes) > 300


def test_the_first_page_is_seen_without_scrolling(pages: WebDriver, report: Path) -> None:
    show(pages, report.parent / "tiny/report.html", 1200, "light")
    for part in ("h1", ".numbers", ".arc svg"):
        assert pages.execute_script(f"return document.querySelector('{part}').getBoundingClientRect().top") < 700


def test_a_click_sorts_a_table_of_the_page(pages: WebDriver, report: Path) -> None:
    show(pages, report.parent / "tiny/report.html", 1200, "light")
    table = pages.find_element(By.CSS_SELECTOR, "#x0-networks table")
    table.find_element(By.CSS_SELECTOR, "th button").click()
    names = [part.text for part in table.find_elements(By.CSS_SELECTOR, "td:first-child")]
    assert len(names) == 4
    assert names == sorted(names)


def test_the_pages_have_no_errors(pages: WebDriver) -> None:
    """Last, when all of them have been looked at."""
    assert [entry for entry in pages.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_console_has_no_errors(browser: WebDriver) -> None:
    """Last, when everything has been looked at."""
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
