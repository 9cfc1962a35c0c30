"""Files of tensors: what this project never writes is refused, whatever torch makes of it."""

import io
import zipfile

import pytest
import torch

from enas_core.files.plain import load_plain


def saved(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_plain_content_comes_back():
    content = {"a": [torch.arange(3), (1, 2.5, None)], 3: "text"}
    found = load_plain(saved(content))
    assert torch.equal(found["a"][0], content["a"][0])
    assert found["a"][1:] == content["a"][1:]
    assert found[3] == "text"


def test_content_that_is_many_times_there_is_looked_at_once():
    many = [1.0]
    for _ in range(60):
        many = [many, many]
    assert load_plain(saved(many))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "nan is not a finite number"),
        ({"x": [float("inf")]}, "inf is not a finite number"),
        (1j, "not a finite number"),
        (torch.tensor([1.0, float("nan")]), "not finite"),
        (torch.zeros(2, dtype=torch.complex64), "complex"),
        (torch.zeros(2, 2).to_sparse(), "sparse"),
        (torch.zeros(2, device="meta"), "without values"),
        (torch.zeros(1).expand(10**12), "larger than the file"),
    ],
)
def test_what_is_never_written_is_refused(value, words):
    with pytest.raises(ValueError, match=words):
        load_plain(saved({"value": value}))


def test_a_file_that_expands_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**7)
    with pytest.raises(ValueError, match="it expands"):
        load_plain(buffer.getvalue())
