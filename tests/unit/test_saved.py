"""Files of networks: they come back as they were, wrong ones are one line, and nothing in them is executed."""

import pickle

import pytest
import torch
from some_networks import FACTS, SMALL, images_of, network_of, supernet_of

from enas_core.console import UserError
from enas_core.spaces.micro.sampling import uniform_arc
from enas_core.spaces.micro.supernet import MicroSupernet
from enas_core.spaces.saved import content_errors, load_network, load_supernet, save_network, save_supernet


@pytest.fixture
def saved(tmp_path):
    """A network with moving statistics of its own, and its file."""
    network = network_of(uniform_arc(3, 4), aux_head=True, image_size=20, bn_zero_debias=True)
    network(images_of(6, 20))
    path = tmp_path / "model.pt"
    save_network(path, network, FACTS)
    return network.eval(), path


def test_a_network_comes_back_as_it_was(saved):
    network, path = saved
    loaded = load_network(path)
    assert not loaded.training
    assert loaded.arc == network.arc
    assert (loaded.shape, loaded.bn_zero_debias) == (network.shape, network.bn_zero_debias)
    assert {name: getattr(loaded, name) for name in FACTS} == FACTS
    assert torch.equal(loaded(images_of(6, 20)), network(images_of(6, 20)))
    state = loaded.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert load_network(str(path)).arc == network.arc


def test_a_network_file_holds_no_code(saved):
    content = torch.load(saved[1], weights_only=True)
    assert set(content) == {"format", "space", "arc", "network", "state_dict", *FACTS}


def refusal(path):
    with pytest.raises(ValueError, match=rf"^{path}: ") as caught:
        load_network(path)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_supernet_is_called_one(tmp_path):
    """And the other way round."""
    path = tmp_path / "supernet.pt"
    torch.save({"format": 1, "supernet": {}, "controller": {}}, path)
    assert "is the supernet of a search, which holds the weights that all arcs share (supernet.pt), not" in refusal(
        path
    )
    torch.save({"format": 1, "network": {}}, path)
    with pytest.raises(UserError, match=r"is a trained network \(model\.pt, final\.pt\), not the supernet of a search"):
        load_supernet(path, MicroSupernet(SMALL, 2, "both"))


def test_wrong_files_are_one_line(saved, tmp_path):
    _, path = saved
    content = torch.load(path, weights_only=True)
    assert "No such file or directory" in refusal(tmp_path / "missing.pt")
    assert "directory" in refusal(tmp_path)
    for wrong, expected in (
        (content | {"format": 2}, "network file of format 2, this version reads format 1"),
        ([content], "network file of format None"),
        ({k: v for k, v in content.items() if k != "classes"}, "incomplete network file: 'classes'"),
        (content | {"arc": "1 2 3"}, "an arc has 8 integers a node"),
        (content | {"arc": str(uniform_arc(4, 4))}, "incomplete network file: "),
        (content | {"space": "chain"}, "incomplete network file: space: 'chain'; allowed: micro"),
        (content | {"space": ["micro"]}, "incomplete network file: "),
        (content | {"network": {}}, "incomplete network file: "),
        (content | {"state_dict": {}}, "incomplete network file: "),
        (content | {"classes": ["a", "b"]}, "incomplete network file: classes: not a list of 3 str"),
        (content | {"classes": 7}, "incomplete network file: classes: not a list of 3 str"),
        (content | {"mean": "x"}, "incomplete network file: mean: not a list of 1 float"),
        (content | {"std": [0.1, 0.1]}, "incomplete network file: std: not a list of 1 float"),
        (content | {"network": content["network"] | {"num_layers": 0}}, "incomplete network file: "),
        (content | {"network": content["network"] | {"num_layers": -5}}, "incomplete network file: "),
        (content | {"format": torch.ones(2)}, "network file of format tensor"),
    ):
        torch.save(wrong, path)
        assert expected in refusal(path)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_truncated_files_are_one_line(saved, part):
    _, path = saved
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    assert "not a network file" in refusal(path)


class Code:
    """Prints when it is unpickled."""

    def __reduce__(self):
        return print, ("executed",)


def test_a_file_with_code_is_not_executed(tmp_path, capsys):
    torch.save({"format": 1, "arc": Code()}, tmp_path / "model.pt")
    assert "not a network file, or corrupt (Python objects are never loaded)" in refusal(tmp_path / "model.pt")
    assert capsys.readouterr().out == ""


def test_a_pickle_of_another_protocol_is_one_line_without_a_warning(tmp_path, recwarn):
    (tmp_path / "model.pt").write_bytes(pickle.dumps({"format": 1}, protocol=4))
    assert "not a network file" in refusal(tmp_path / "model.pt")
    assert not recwarn.list


def test_a_file_of_before_there_were_spaces_is_of_micro(saved):
    network, path = saved
    content = torch.load(path, weights_only=True)
    assert content.pop("space") == "micro"
    torch.save(content, path)
    assert torch.equal(load_network(path)(images_of(6, 20)), network(images_of(6, 20)))


def test_a_supernet_comes_back_as_it_was(tmp_path):
    supernet, other, path = supernet_of(2), supernet_of(2), tmp_path / "supernet.pt"
    policy = torch.nn.Linear(2, 3)
    save_supernet(path, supernet, policy.state_dict())
    assert set(torch.load(path, weights_only=True)) == {"format", "supernet", "controller"}
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    state = load_supernet(path, other)
    assert torch.equal(state["weight"], policy.weight)
    assert all(map(torch.equal, supernet.parameters(), other.parameters()))
    with pytest.raises(UserError, match=rf"^{path}: not of this supernet: ") as caught:
        load_supernet(path, supernet_of(3))
    assert len(str(caught.value).splitlines()) == 1
    with (
        pytest.raises(UserError, match=rf"^{path}: not of this supernet: "),
        content_errors(path, "not of this supernet"),
    ):
        torch.nn.Linear(2, 4).load_state_dict(state)
