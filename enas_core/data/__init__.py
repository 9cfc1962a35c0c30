"""Images: from any source to arrays on disk, and from there to batches.

`prepare.py` writes the arrays and `manifest.py` describes them (without torch); `prepared.py` reads them onto a device
and `batches.py` cuts and augments batches (with torch). `digits.py`,
`cifar.py` and `parquet.py` know where images come from;
`pictures.py` reads single image files. May import `settings`, `files` and `console`.
"""
