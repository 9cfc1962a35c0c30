"""Pictures as a network can take them: size, colours, transparency."""

import numpy as np
from PIL import Image

from enas_core.files.pictures import Form, read_image

SIZE = 8


def pixels(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def read(path, channels=3):
    return read_image(path, Form(channels, SIZE, SIZE))


def test_transparent_parts_are_white(tmp_path):
    image = pixels(0, SIZE, SIZE, 4)
    image[:, :4, 3], image[:, 4:, 3] = 0, 255
    Image.fromarray(image).save(tmp_path / "a.png")
    found = read(tmp_path / "a.png")
    assert found.changes == ["converted from RGBA to RGB, transparency on white"]
    assert (found.pixels[:, :4] == 255).all()
    assert (found.pixels[:, 4:] == image[:, 4:, :3]).all()


def test_transparent_colour_of_a_palette_is_white(tmp_path):
    image = Image.fromarray(np.array([[0, 1]] * 2, np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "a.png", transparency=0)
    found = read_image(tmp_path / "a.png", Form(3, 2, 2))
    assert found.pixels[0].tolist() == [[255, 255, 255], [40, 50, 60]]


def test_colour_to_grey(tmp_path):
    image = pixels(0, SIZE, SIZE, 3)
    Image.fromarray(image).save(tmp_path / "a.png")
    found = read(tmp_path / "a.png", channels=1)
    assert found.changes == ["converted from RGB to L"]
    luma = image @ np.array([0.299, 0.587, 0.114])
    assert np.abs(found.pixels[:, :, 0] - luma).max() <= 1


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    image = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(image).save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png", channels=1).pixels[:, :, 0] == image // 256).all()


def test_photographs_are_turned_upright(tmp_path):
    image = Image.fromarray(pixels(0, SIZE, SIZE))
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise
    image.save(tmp_path / "a.png", exif=exif)
    assert (read(tmp_path / "a.png", 1).pixels[:, :, 0] == np.rot90(np.asarray(image), -1)).all()


def test_shrinking_averages(tmp_path):
    board = np.kron(np.indices((32, 32)).sum(0) % 2, np.ones((4, 4))).astype(np.uint8) * 255
    Image.fromarray(board).save(tmp_path / "a.png")
    assert np.abs(read(tmp_path / "a.png", 1).pixels.astype(int) - 127).max() < 40


def test_the_middle_is_taken_and_said(tmp_path):
    image = pixels(0, 20, 12, 3)
    Image.fromarray(image).save(tmp_path / "a.png")
    found = read_image(tmp_path / "a.png", Form(3, 12, 8))
    assert (found.pixels == image[6:14, 2:10]).all()
    assert found.changes == ["the middle of 12x20 resized to 12x12"]
