"""Pictures inside a page."""

from enas_core.pages.figures import inline

FILE = """<?xml version="1.0"?>
<!DOCTYPE svg>
<svg xmlns="http://www.w3.org/2000/svg" width="90pt" height="10" viewBox="0 0 90 10" role="img">
 <metadata>
  <id/>
 </metadata>
 <defs><clipPath id="p1"/><path id="m2" style="stroke: #D55E00"/></defs>
 <g clip-path="url(#p1)"><use xlink:href="#m2" style="fill: #1a1a1a; stroke: #abcdef"/></g>
</svg>
"""


def test_it_is_an_element_without_what_makes_it_a_file():
    svg = inline(FILE, "x", "two & more")
    assert svg.startswith(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 10" role="img" aria-label="two &amp;'
    )
    assert svg.count('role="img"') == 1
    assert "metadata" not in svg


def test_ids_of_two_pictures_differ():
    one, other = inline(FILE, "one", ""), inline(FILE, "other", "")
    for part in ('id="one-p1"', 'id="one-m2"', "url(#one-p1)", 'xlink:href="#one-m2"'):
        assert part in one
        assert part not in other


def test_colours_are_those_of_the_page():
    svg = inline(FILE, "x", "")
    assert "stroke: var(--orange)" in svg
    assert "fill: var(--ink)" in svg
    assert "stroke: #abcdef" in svg
