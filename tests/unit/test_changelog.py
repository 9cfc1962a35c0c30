"""CHANGELOG.md: the version has its section, and what comes next has one as well."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADINGS = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
RELEASE = re.compile(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d")


def test_the_version_is_the_newest_section():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert HEADINGS[1].startswith(f"[{version}] - ")
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_sections_are_in_order():
    assert HEADINGS[0] == "[Unreleased]"
    releases = [RELEASE.fullmatch(heading) for heading in HEADINGS[1:]]
    assert all(releases)
    versions = [tuple(map(int, release.groups())) for release in releases]
    assert versions == sorted(set(versions), reverse=True)
