"""Makes readme.png, what README.md looks like: `python docs/pictures/readme.py`, with Debian's Chromium."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt
from PIL import Image, ImageChops

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WIDTH, LONGEST = 1000, 6000

STYLE = """
body { font: 16px/1.5 "Liberation Sans", Helvetica, Arial, sans-serif; color: #1f2328;
  max-width: 900px; margin: 24px auto }
h1, h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: .3em }
pre { background: #f6f8fa; padding: 14px; border-radius: 6px; font-size: 13.6px; line-height: 1.45 }
code { background: #eff1f3; padding: .15em .35em; border-radius: 5px; font-family: "Liberation Mono", monospace;
  font-size: 85% }
pre code { background: none; padding: 0; font-size: 100% }
table { border-collapse: collapse }
th, td { border: 1px solid #d1d9e0; padding: 6px 13px }
img { max-width: 100% }
a { color: #0969da; text-decoration: none }
"""


def page() -> str:
    """README.md as HTML, somewhat as a forge shows it; pictures are looked for in the repository."""
    body = MarkdownIt("commonmark").enable("table").render((ROOT / "README.md").read_text())
    head = f'<meta charset="utf-8"><base href="{ROOT.as_uri()}/"><style>{STYLE}</style>'
    return f"<!doctype html><html><head>{head}</head><body>{body}</body></html>"


def picture(html: str, out: Path) -> None:
    """Write a picture of a page, without the white below it, in few colours so that the file is small."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "page.html").write_text(html)
        shot = Path(name) / "page.png"
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={WIDTH},{LONGEST}",
        ]
        command = [CHROMIUM, *options, f"--screenshot={shot}", f"file://{name}/page.html"]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        image = Image.open(shot).convert("RGB")
    written = ImageChops.difference(image, Image.new("RGB", image.size, "white")).getbbox()
    assert written is not None, "the page is empty"
    small = image.crop((0, 0, WIDTH, min(LONGEST, written[3] + 24))).quantize(224, dither=Image.Dither.NONE)
    small.save(out, optimize=True)


if __name__ == "__main__":
    picture(page(), FOLDER / "readme.png")
