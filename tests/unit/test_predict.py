"""predict: image files and folders in, classes and probabilities out, as lines or as a table."""

import os
import re

import numpy as np
import pytest
import torch
from PIL import Image

import enas_core
from enas_core import predict
from enas_core.files.tables import read_provenance, read_table
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.saved import save_network
from enas_core.spaces.space import NetworkShape

CLASSES = ["cat", "dog", "aquarium fish"]
SIZE = 8


@pytest.fixture
def network_file(tmp_path):
    """Writes a small network with random weights for grey (1) or colour (3) images; returns its path."""

    def write(channels):
        torch.manual_seed(1)
        shape = NetworkShape(
            num_layers=1,
            num_filters=4,
            image_size=SIZE,
            in_channels=channels,
            num_classes=len(CLASSES),
            aux_head=False,
        )
        network = MicroNetwork(uniform_arc(1, 2), shape)
        with torch.no_grad():
            network.fc.weight.mul_(20)  # far from equal probabilities
        facts = {"classes": CLASSES, "experiment": "tiny", "test_accuracy": 0.5}
        facts |= {"mean": [0.4, 0.5, 0.6][:channels], "std": [0.2, 0.3, 0.25][:channels]}
        path = tmp_path / f"net{channels}.pt"
        save_network(path, network, facts)
        return path, network.eval()

    return write


def expected(network, pixels):
    """Probabilities for uint8 pixels [size, size, channels], worked out in float64."""
    channels = pixels.shape[2]
    mean, std = np.array([0.4, 0.5, 0.6])[:channels], np.array([0.2, 0.3, 0.25])[:channels]
    images = torch.from_numpy((pixels / 255 - mean) / std).permute(2, 0, 1)[None]
    with torch.no_grad():
        return network.double()(images).softmax(1)[0].tolist()


def pixels(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def parsed(line):
    """File, {class: probability}, note of a line of output."""
    name, found, note = re.fullmatch(r"(.+?): (.+?)(?: \((.+)\))?", line).groups()
    return name, {k: float(v) for k, v in (pair.rsplit(" ", 1) for pair in found.split(", "))}, note


def run(capsys, *arguments):
    """Exit code, lines of output, errors."""
    code = predict.main([*map(str, arguments), "--device", "cpu"])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


@pytest.mark.parametrize("channels", [1, 3])
def test_probabilities_of_images_that_fit(network_file, tmp_path, capsys, channels):
    path, network = network_file(channels)
    files = [tmp_path / f"{i}.png" for i in range(3)]
    images = [pixels(i, SIZE, SIZE, channels) for i in range(3)]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image[:, :, 0] if channels == 1 else image).save(file)
    code, lines, _ = run(capsys, path, *files, "--top", "3")
    assert code == 0
    for file, image, line in zip(files, images, lines, strict=True):
        name, found, note = parsed(line)
        assert (name, note) == (str(file), None)
        assert list(found.values()) == sorted(found.values(), reverse=True)
        assert [found[name] for name in CLASSES] == pytest.approx(expected(network, image), abs=1e-4)


def test_one_class_is_the_default(network_file, tmp_path, capsys):
    path, network = network_file(3)
    image = pixels(1, SIZE, SIZE, 3)
    Image.fromarray(image).save(tmp_path / "a.png")
    _, lines, _ = run(capsys, path, tmp_path / "a.png")
    probabilities = expected(network, image)
    best = int(np.argmax(probabilities))
    assert lines == [f"{tmp_path / 'a.png'}: {CLASSES[best]} {probabilities[best]:.4f}"]


def test_more_images_than_a_batch(network_file, tmp_path, capsys, monkeypatch):
    path, _ = network_file(1)
    files = [tmp_path / f"{i}.png" for i in range(5)]
    for i, file in enumerate(files):
        Image.fromarray(pixels(i, SIZE, SIZE)).save(file)
    together = run(capsys, path, *files)
    for module in ("training.prediction", "spaces.predicting"):
        monkeypatch.setattr(f"enas_core.{module}.BATCH", 2)
    assert run(capsys, path, *files) == together
    assert len(together[1]) == 5


def test_says_what_it_changed(network_file, tmp_path, capsys):
    path, _ = network_file(3)
    file = tmp_path / "wide.png"
    Image.fromarray(pixels(0, 20, 30)).save(file)
    _, lines, _ = run(capsys, path, file)
    assert parsed(lines[0])[2] == "converted from L to RGB, the middle of 30x20 resized to 8x8"


@pytest.fixture
def bad(tmp_path):
    """Files that are no readable images, by name."""
    Image.fromarray(pixels(0, 50, 50, 3)).save(tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:2000])
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.jpg").write_bytes(b"")
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tiff")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.png", "no such file"),
        ("cut.png", "not a readable image: "),
        ("text.png", "not a readable image: "),
        ("empty.jpg", "not a readable image: "),
        ("float.tiff", "an image of floating-point numbers"),
    ],
)
def test_an_unreadable_image_is_one_line(bad, network_file, capsys, name, message):
    path, _ = network_file(3)
    code, lines, error = run(capsys, path, bad / name)
    assert (code, lines) == (2, [])
    assert error.startswith(f"error: {bad / name}: {message}")
    assert error.count("\n") == 1


def test_an_unreadable_image_costs_the_others_nothing(bad, network_file, capsys):
    path, _ = network_file(3)
    good = bad / "good.png"
    expected = run(capsys, path, good)[1]
    code, lines, error = run(capsys, path, good, bad / "cut.png", good, bad / "missing.png")
    assert (code, lines) == (2, 2 * expected)
    cut, missing, summary, last = error.splitlines()
    assert cut.startswith(f"error: {bad / 'cut.png'}: not a readable image: ")
    assert missing == f"error: {bad / 'missing.png'}: no such file"
    assert summary == "2 images, 2 more could not be read"
    assert last == "error: 2 of 4 images could not be read"


def test_none_that_can_be_read(bad, network_file, capsys):
    out = bad / "out.parquet"
    code, lines, error = run(capsys, network_file(3)[0], bad / "cut.png", bad / "text.png", "--out", out)
    assert (code, lines) == (2, [])
    assert error.splitlines()[-1] == "error: none of 2 images could be read"
    assert not out.exists()


# --- folders and tables -------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Images of two classes, of none and of an unknown one, one of which is damaged; what is not an image."""
    places = ["cat/1.png", "cat/deeper/2.PNG", "dog/3.png", "4.png", "others/5.png", "cat/.hidden.png"]
    for i, place in enumerate(places):
        file = tmp_path / "photos" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(i, 9 + i, 12, 3)).save(file)
    whole = (tmp_path / "photos/cat/1.png").read_bytes()
    (tmp_path / "photos/dog/broken.png").write_bytes(whole[:100])
    (tmp_path / "photos/dog/notes.txt").write_text("no image")
    (tmp_path / "photos/dog/nowhere.png").symlink_to("gone.png")
    return tmp_path / "photos"


def test_a_folder_becomes_a_table(network_file, folder, tmp_path, capsys):
    path, _ = network_file(3)
    network = enas_core.load(path)
    code, lines, error = run(capsys, path, folder, "--out", tmp_path / "p.parquet", "--top", 2)
    assert (code, lines) == (0, [])
    rows = read_table(tmp_path / "p.parquet", "predictions")
    files = [row["file"].removeprefix(f"{folder}/") for row in rows]
    readable = ["4.png", "cat/1.png", "cat/deeper/2.PNG", "dog/3.png", "others/5.png"]
    assert sorted({*files}) == sorted([*readable, "dog/broken.png", "dog/nowhere.png"])
    assert [name for name in files if name in readable] == [name for name in readable for _ in range(2)]

    by_rank = {(row["file"].removeprefix(f"{folder}/"), row["rank"]): row for row in rows}
    for name in readable:
        answers = network.predict(folder / name)
        first, second = by_rank[name, 1], by_rank[name, 2]
        assert [first["answer"], second["answer"]] == list(answers)[:2]
        assert [first["probability"], second["probability"]] == pytest.approx(list(answers.values())[:2], abs=1e-6)
        known = name.split("/")[0] if name.startswith(("cat", "dog")) else None
        assert first["class"] == second["class"] == known
        assert first["correct"] == (None if known is None else first["answer"] == known)
        assert first["error"] is None
    for name, why in (("dog/broken.png", "not a readable image: "), ("dog/nowhere.png", "no such file")):
        row = by_rank[name, None]
        assert row["error"].startswith(f"{folder / name}: {why}")
        assert (row["class"], row["answer"], row["correct"]) == ("dog", None, None)

    right = sum(by_rank[name, 1]["correct"] for name in readable if name.startswith(("cat", "dog")))
    among = sum(
        by_rank[name, 1]["correct"] or by_rank[name, 2]["correct"]
        for name in readable
        if name.startswith(("cat", "dog"))
    )
    assert error.splitlines()[-1] == (
        f"5 images, 2 more could not be read, accuracy {right / 3:.4f} of the 3 in folders of their classes,"
        f" the class is among the first 2 of {among / 3:.4f}"
    )
    made_by = read_provenance(tmp_path / "p.parquet")
    assert (made_by["network"], made_by["device"].split()[0]) == (str(path), "cpu")


def test_a_folder_as_lines(network_file, folder, capsys):
    path, _ = network_file(3)
    (folder / "dog/broken.png").unlink()
    (folder / "dog/nowhere.png").unlink()
    code, lines, _ = run(capsys, path, folder, folder / "4.png")
    assert code == 0
    assert [parsed(line)[0] for line in lines] == [
        str(folder / name) for name in ("4.png", "cat/1.png", "cat/deeper/2.PNG", "dog/3.png", "others/5.png", "4.png")
    ]


def test_a_batch_of_nothing_but_damaged_images(network_file, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("enas_core.training.prediction.BATCH", 1)
    assert run(capsys, network_file(3)[0], folder, "--out", tmp_path / "p.parquet")[0] == 0
    assert len(read_table(tmp_path / "p.parquet", "predictions")) == 7


def test_names_of_other_bytes(network_file, folder, tmp_path, capsys):
    os.rename(folder / "4.png", os.fsencode(folder) + b"/caf\xe9.png")
    path, _ = network_file(3)
    assert run(capsys, path, folder, "--out", tmp_path / "p.parquet")[0] == 0
    names = {row["file"].removeprefix(f"{folder}/") for row in read_table(tmp_path / "p.parquet", "predictions")}
    assert r"caf\xe9.png" in names
    _, lines, _ = run(capsys, path, folder)
    assert any(line.startswith(rf"{folder}/caf\xe9.png: ") for line in lines)


def test_a_folder_without_images(network_file, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").write_text("no image")
    code, _, error = run(capsys, network_file(3)[0], tmp_path / "empty")
    assert (code, error) == (2, f"error: {tmp_path / 'empty'}: no image files are in it\n")


def test_a_table_that_cannot_be_written_is_said_before_any_work(network_file, folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, lines, error = run(capsys, network_file(3)[0], folder, "--out", tmp_path / "file/p.parquet")
    assert (code, lines, error) == (2, [], f"error: {tmp_path / 'file'}: Not a directory\n")


# --- mistakes -----------------------------------------------------------------------------------


def test_no_program_is_started_for_an_image(bad, network_file, tmp_path, capsys, monkeypatch):
    program = tmp_path / "bin/gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/trace\necho 10.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    Image.fromarray(pixels(0, 8, 8, 3)).save(bad / "postscript.png", "EPS")
    code, lines, error = run(capsys, network_file(3)[0], bad / "postscript.png")
    assert (code, lines) == (2, [])
    assert error.startswith(f"error: {bad / 'postscript.png'}: not a readable image: ")
    assert not (tmp_path / "trace").exists()


def test_other_mistakes(bad, network_file, capsys):
    path, _ = network_file(3)
    good = bad / "good.png"
    for top in (0, 4):
        assert run(capsys, path, good, "--top", top) == (2, [], f"error: --top: {top} is out of range 1..3\n")
    code, lines, error = run(capsys, good, good)
    assert (code, lines, error.count("\n")) == (2, [], 1)
    assert error.startswith(f"error: {good}: not a network file")
    code, lines, error = run(capsys, bad / "no.pt", good)
    assert (code, lines, error.count("\n")) == (2, [], 1)
    assert error.startswith(f"error: {bad / 'no.pt'}: ")
