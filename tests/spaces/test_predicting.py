"""A loaded network's answers to images of every kind: files, pictures, arrays, tensors, one or many."""

import numpy as np
import pytest
import torch
from PIL import Image

import enas_core
from enas_core.console import UserError
from enas_core.files.pictures import Form, formed
from enas_core.spaces.micro.network import MicroNetwork
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.saved import save_network
from enas_core.spaces.space import NetworkShape

CLASSES = ["cat", "dog", "aquarium fish"]
SIZE, RESIZED = 8, 10


@pytest.fixture
def loaded(tmp_path):
    """Loads a small network with random weights for grey (1) or colour (3) images."""

    def load(channels=3):
        torch.manual_seed(1)
        shape = NetworkShape(1, 4, SIZE, channels, len(CLASSES), aux_head=True)
        network = MicroNetwork(uniform_arc(1, 2), shape)
        with torch.no_grad():
            network.fc.weight.mul_(20)  # far from equal probabilities
        facts = {"classes": CLASSES, "experiment": "tiny", "test_accuracy": 0.5, "resize_to": RESIZED}
        save_network(tmp_path / "net.pt", network, facts | {"mean": [0.4] * channels, "std": [0.2] * channels})
        return enas_core.load(tmp_path / "net.pt")

    return load


def pixels(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_a_file_a_picture_and_pixels_are_one(loaded, tmp_path):
    network, image = loaded(), pixels(0, 30, 20, 3)
    Image.fromarray(image).save(tmp_path / "a.png")
    answer = network.predict(tmp_path / "a.png")
    assert sorted(answer) == sorted(CLASSES)
    assert list(answer.values()) == sorted(answer.values(), reverse=True)
    assert sum(answer.values()) == pytest.approx(1)
    for same in (str(tmp_path / "a.png"), Image.fromarray(image), image):
        assert network.predict(same) == answer
        assert network.predict([same, same]) == [answer, answer]
    assert network.predict(np.stack([image, image])) == [answer, answer]
    assert network.predict(network.preprocess(image)) == [answer]


def test_images_go_the_way_that_prepare_data_has_taken(loaded, tmp_path):
    network = loaded()
    Image.fromarray(pixels(0, 30, 20, 3)).save(tmp_path / "a.png")
    prepared = formed("a.png", (tmp_path / "a.png").read_bytes(), Form(3, RESIZED, SIZE))
    expected = (torch.from_numpy(prepared / 255).permute(2, 0, 1)[None] - 0.4) / 0.2
    torch.testing.assert_close(network.preprocess(tmp_path / "a.png").double(), expected, atol=1e-6, rtol=1e-6)
    with torch.no_grad():
        probabilities = network.double()(expected).softmax(1)[0]
    assert [network.float().predict(tmp_path / "a.png")[name] for name in CLASSES] == pytest.approx(
        probabilities.tolist(), abs=1e-5
    )


@pytest.mark.parametrize("shape", [(9, 12), (9, 12, 1), (9, 12, 3), (9, 12, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_colour_and_transparent_pixels(loaded, shape, channels):
    assert len(loaded(channels).predict(pixels(0, *shape))) == 3


def test_a_picture_is_turned_upright(loaded):
    image = Image.fromarray(pixels(0, 30, 20, 3))
    turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6
    network = loaded()
    assert network.predict(turned) == network.predict(image)


def test_many_images_are_computed_in_batches(loaded, monkeypatch):
    network, images = loaded(), pixels(0, 5, SIZE, SIZE, 3)
    together = network.predict(images)
    monkeypatch.setattr("enas_core.spaces.predicting.BATCH", 2)
    for answer, expected in zip(network.predict(images), together, strict=True):
        assert answer == pytest.approx(expected, abs=1e-6)


def test_a_network_in_training_answers_as_it_will(loaded):
    network, image = loaded(), pixels(0, SIZE, SIZE, 3)
    answer = network.predict(image)
    assert network.train().predict(image) == answer
    assert network.training


def test_mistakes_are_one_line(loaded, tmp_path):
    network = loaded()
    with pytest.raises(UserError, match=rf"^{tmp_path}/none\.png: no such file$"):
        network.predict(tmp_path / "none.png")
    with pytest.raises(UserError, match=r"^an array of float64: pixels of type uint8 are needed$"):
        network.predict(np.zeros((8, 8, 3)))
    with pytest.raises(UserError, match=r"^a tensor of torch\.uint8: tensors are normalised"):
        network.predict(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(UserError, match=r"^the image: an image of floating-point numbers"):
        network.predict(Image.fromarray(np.zeros((8, 8), np.float32)))


def test_networks_of_earlier_versions_know_no_larger_size(loaded, tmp_path):
    loaded()
    content = torch.load(tmp_path / "net.pt", weights_only=True)
    del content["resize_to"]
    torch.save(content, tmp_path / "net.pt")
    assert enas_core.load(tmp_path / "net.pt").form == Form(3, SIZE, SIZE)
    for wrong in (SIZE - 1, 10**9, "8", None):
        torch.save(content | {"resize_to": wrong}, tmp_path / "net.pt")
        with pytest.raises(UserError, match=r"resize_to: .* is not a whole number of 8\.\.10000"):
            enas_core.load(tmp_path / "net.pt")
