"""CHANGELOG.md: the version has its section, and what comes next has one as well."""

import re
from pathlib import Path

import enas_core

ROOT = Path(__file__).parents[2]
HEADINGS = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
RELEASE = re.compile(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d")


def numbers(version):
    return tuple(map(int, version.split(".")))


def test_the_version_is_the_newest_section_or_the_one_after_it():
    newest = RELEASE.fullmatch(HEADINGS[1]).group().partition("]")[0].strip("[")
    release, dot, _ = enas_core.__version__.partition(".dev")
    assert numbers(release) > numbers(newest) if dot else release == newest
    assert f"\nversion: {newest}\n" in (ROOT / "CITATION.cff").read_text()


def test_sections_are_in_order():
    assert HEADINGS[0] == "[Unreleased]"
    releases = [RELEASE.fullmatch(heading) for heading in HEADINGS[1:]]
    assert all(releases)
    versions = [tuple(map(int, release.groups())) for release in releases]
    assert versions == sorted(set(versions), reverse=True)
