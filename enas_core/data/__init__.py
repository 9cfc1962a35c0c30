"""Images: from any source to arrays on disk, and from there to batches.

`prepare.py` writes the arrays and `manifest.py` describes them (without torch); `prepared.py` maps them and
`batches.py` cuts and augments batches, with `colours.py` (with torch). `digits.py`, `cifar.py` and `parquet.py` know
where images of known datasets come from. Images of the user's own are listed by `folder.py` or `own_parquet.py` (a
`collection.py`), put into an `order.py`, and decoded by all cores (`parallel.py`) and written by `own.py` with
`arrays.py`. May import `settings`, `files` and `console`.
"""
