"""show_arc: an arc with the size of its network."""

import re

import pytest
import yaml

from enas_core import show_arc
from enas_core.spaces.micro.arc import MicroArc
from enas_core.spaces.micro.drawing import draw
from enas_core.spaces.micro.sampling import uniform_arc

PAPER = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"


ONE_NODE = "1 4 1 4 1 4 1 4"
SMALL = ["--layers", "1", "--filters", "2"]
DARTS = """Genotype(
    normal=[[('sep_conv_3x3', 0), ('skip_connect', 1)], [('max_pool_3x3', 2), ('sep_conv_5x5', 0)]],
    normal_concat=range(2, 4),
    reduce=[[('sep_conv_5x5', 0), ('skip_connect', 1)], [('sep_conv_3x3', 1), ('sep_conv_3x3', 1)]],
    reduce_concat=range(2, 4),
)"""


def shown(capsys):
    """What was printed, by the name at the beginning of the line."""
    return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in capsys.readouterr().out.splitlines())


def test_shows_the_paper_s_arc(tmp_path, capsys):
    picture = tmp_path / "paper.svg"
    assert show_arc.main([PAPER, "--svg", str(picture)]) == 0
    lines = shown(capsys)
    arc = MicroArc.parse(PAPER)
    assert (lines["arc"], lines["genotype"], lines["json"]) == (PAPER, arc.genotype(), arc.to_json())
    assert lines["network"] == "15 + 2 layers, 36 filters, images 32x32x3, 10 classes"
    assert lines["parameters"] == "3,894,372"
    assert lines["auxiliary head"] == "494,848 more, in training only (4,389,220 together)"
    assert int(lines["MACs"].removesuffix(" for one image").replace(",", "")) > 5e8
    assert lines["picture"] == str(picture)
    assert picture.read_text() == draw(arc)


def test_macs_of_a_network_small_enough_to_count_by_hand(tmp_path, capsys, monkeypatch):
    """One node of two identities that both read input 1: input 0 and the node are the output."""
    monkeypatch.chdir(tmp_path)
    arguments = ["1 4 1 4 1 4 1 4", "--layers", "1", "--filters", "2", "--image-size", "8", "--channels", "1"]
    assert show_arc.main([*arguments, "--classes", "3"]) == 0
    lines = shown(capsys)
    stem = 64 * 9 * 1 * 6
    # reductions at layers 0 and 1. Layer 0, 4 channels at 8x8: both inputs 6 -> 4, base 4 -> 4; then to 4x4 two
    # identities 4 -> 4 and the loose input 4 -> 4
    layer_0 = 64 * (6 * 4 + 6 * 4 + 4 * 4) + 16 * 3 * 4 * 4
    # layer 1, 8 channels at 4x4: input 0 reduced 6 -> 8, input 1 8 -> 8 as it is, base 8 -> 8; then to 2x2
    layer_1 = 16 * (6 * 8 + 8 * 8) + 4 * 3 * 8 * 8
    # layer 2, 8 channels at 2x2: input 0 (8 channels at 4x4) reduced, input 1 16 -> 8, base
    layer_2 = 4 * (8 * 8 + 16 * 8 + 8 * 8)
    classifier = 16 * 3
    assert lines["MACs"] == f"{stem + layer_0 + layer_1 + layer_2 + classifier:,} for one image"
    aux = 8 * 2 * 128 + 2 * 128 + 128 * 768 + 2 * 768 + 768 * 3
    assert lines["auxiliary head"].startswith(f"{aux:,} more, in training only")
    assert list(tmp_path.iterdir()) == []


def test_reads_a_file_and_any_number_of_nodes(tmp_path, capsys):
    file, arc = tmp_path / "mine.txt", uniform_arc(1, 7)
    file.write_text(f"{arc}\n")
    assert show_arc.main([str(file), *SMALL]) == 0
    assert shown(capsys)["arc"] == str(arc)


@pytest.mark.parametrize("text", [DARTS, MicroArc.parse(ONE_NODE).genotype()], ids=["pt.darts", "its own"])
def test_reads_genotypes(text, capsys):
    assert show_arc.main([text, *SMALL]) == 0
    assert shown(capsys)["arc"] == (ONE_NODE if text != DARTS else "0 0 1 4 2 3 0 1 0 1 1 4 1 0 1 0")


def test_reads_a_genotype_from_a_file(tmp_path, capsys):
    (tmp_path / "genotype.txt").write_text(DARTS)
    assert show_arc.main([str(tmp_path / "genotype.txt"), *SMALL]) == 0
    assert "normal_concat: [2, 3]: in this space the output is what no node reads: [3]" in capsys.readouterr().err


CONFIG = {
    "one": {"dataset": {"name": "cifar10", "source": "torchvision"}, "arcs": {"mine": PAPER, "differs": PAPER}},
    "two": {"extends": "one", "arcs": {"differs": PAPER[:-1] + "2", "found": {"from": "one"}}},
}


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """A working folder with a config.yaml that lists arcs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"experiments": CONFIG}))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "arc"),
    [
        (["mine"], PAPER),
        (["differs", "--experiment", "one"], PAPER),
        (["differs", "--experiment", "two"], PAPER[:-1] + "2"),
    ],
)
def test_knows_the_arcs_of_the_config(arguments, arc, configured, capsys):
    assert show_arc.main([*arguments, *SMALL]) == 0
    assert shown(capsys)["arc"] == arc
    assert [path.name for path in configured.iterdir()] == ["config.yaml"]


def test_knows_an_arc_that_another_experiment_has_found(configured, capsys):
    assert show_arc.main(["found", *SMALL]) == 2
    assert "found: the arc that one finds; `snakemake --cores 2 results/two/arcs/found.txt`" in capsys.readouterr().err
    (configured / "results/two/arcs").mkdir(parents=True)
    (configured / "results/two/arcs/found.txt").write_text(PAPER)
    assert show_arc.main(["found", *SMALL]) == 0
    assert shown(capsys)["arc"] == PAPER


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["typo"], "typo: not the name of an arc in config.yaml; allowed: differs, found, mine"),
        (["differs"], "differs: experiments have different arcs of that name; --experiment: one, two"),
        (["mine", "--experiment", "three"], "--experiment: 'three' is not in config.yaml; allowed: one, two"),
        (["found", "--experiment", "one"], "found: not the name of an arc in config.yaml; allowed: differs, mine"),
    ],
)
def test_mistakes_with_names(arguments, message, configured, capsys):
    assert show_arc.main(arguments) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([PAPER.replace("1 0 0 1 0 2", "1 0 6 1 0 2", 1)], "normal cell, node 3, index_2: 6 is out of range 0..4"),
        ([PAPER + " 1"], "an arc has 8 integers a node (40 for 5 nodes), got 41"),
        ([""], "an arc has 8 integers a node (40 for 5 nodes), got 0"),
        (["1 2 x"], "integer 2 of the arc: 'x' is not an integer 0, 1, 2, ..."),
        (["arcs/typo.txt"], "arcs/typo.txt: neither an arc in quotes nor a file"),
        (["typo"], "typo: neither an arc in quotes nor a file, and there is no config.yaml that may list it"),
        (["Genotype(normal=1)"], "genotype: normal: missing, or not a list of edges"),
        ([PAPER, "--svg", "new/arc.svg"], "--svg: new: there is no such folder"),
        (["bad.txt"], "bad.txt: integer 0 of the arc: 'hello' is not an integer 0, 1, 2, ..."),
        ([PAPER, "--filters", "3"], "--filters: 3: allowed is a multiple of 2"),
        ([PAPER, "--layers", "0"], "--layers: 0: allowed is greater than or equal to 1"),
        ([PAPER, "--image-size", "2"], "--image-size: 2: allowed is greater than or equal to 4"),
        ([PAPER, "--image-size", "9999"], "--image-size: 9999: allowed is less than or equal to 4096"),
        ([PAPER, "--channels", "9999"], "--channels: 9999: allowed is less than or equal to 1024"),
        ([PAPER, "--classes", "9" * 20], f"--classes: {'9' * 20}: allowed is less than or equal to 1000000"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.txt").write_text("hello\n")
    assert show_arc.main(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"error: {message}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.txt"]


def test_a_picture_that_cannot_be_written(tmp_path, capsys):
    arguments = ["1 4 1 4 1 4 1 4", "--layers", "1", "--filters", "2", "--svg", str(tmp_path)]
    assert show_arc.main(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"error: {tmp_path}: Is a directory\n")
