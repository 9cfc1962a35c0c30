"""Settings that came later stand in the text of a stage's settings only where they are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pytest

from enas_core import spaces
from enas_core.console import UserError
from enas_core.fields import LATER, Float, Settings, all_defaults, with_defaults
from enas_core.settings import revisions
from enas_core.settings.baseline import RandomArcs
from enas_core.settings.revisions import Change
from enas_core.settings.stages import AugmentStage, RandomArcsStage, fingerprint, read_stage, stage_settings, to_json
from enas_core.settings.workflow import parse_workflow
from enas_core.spaces.micro.settings import MicroSettings
from enas_core.spaces.micro.space import Micro


class Inner(Settings):
    old: int = 1
    new: Annotated[int | None, LATER] = None


class Whole(Settings):
    new: Annotated[int, LATER] = 5


class Outer(Settings):
    inner: Inner = all_defaults(Inner)
    several: tuple[Inner, ...] = ()
    perhaps: Inner | None = None
    factor: Annotated[Float, LATER] = 1.0
    renamed: Annotated[int, LATER] = 0
    section: Annotated[Whole, LATER] = all_defaults(Whole)


@with_defaults(new=7)
class OtherDefault(Inner):
    """Inherits the mark, has another default."""


def written(settings: Settings) -> Any:
    return json.loads(to_json(settings))


def test_defaults_are_left_out_wherever_they_stand() -> None:
    settings = Outer(several=(Inner(), Inner(old=2)), perhaps=Inner())
    expected = {"inner": {"old": 1}, "several": [{"old": 1}, {"old": 2}], "perhaps": {"old": 1}}
    assert written(settings) == expected
    assert Outer.model_validate_json(to_json(settings)) == settings


def test_it_makes_no_difference_whether_a_default_was_given() -> None:
    given = Outer(inner=Inner(new=None), factor=1.0, section=Whole(new=5))
    assert to_json(given) == to_json(Outer())
    assert fingerprint(given) == fingerprint(Outer())


@pytest.mark.parametrize(
    ("settings", "added"),
    [
        (Outer(factor=2.0), {"factor": 2.0}),
        (Outer(inner=Inner(new=0)), {"inner": {"old": 1, "new": 0}}),
        (Outer(several=(Inner(new=0),)), {"several": [{"old": 1, "new": 0}]}),
        (Outer(perhaps=Inner(new=0)), {"perhaps": {"old": 1, "new": 0}}),
        (Outer(section=Whole(new=6)), {"section": {"new": 6}}),
    ],
    ids=["top", "section", "tuple", "optional section", "later section"],
)
def test_other_values_are_written(settings: Outer, added: dict[str, Any]) -> None:
    assert written(settings) == written(Outer()) | added
    assert Outer.model_validate_json(to_json(settings)) == settings


def test_a_model_that_changes_the_default_leaves_out_its_own() -> None:
    assert written(OtherDefault()) == {"old": 1}
    assert written(OtherDefault(new=None)) == {"old": 1, "new": None}


class NewSettings(MicroSettings):
    depth: Annotated[int, LATER] = 1


class NewSpace(Micro):
    Settings = NewSettings


def test_a_spaces_own_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(spaces.SPACES, "new", f"{__name__}:NewSpace")

    def settings(depth: int) -> Any:
        given = {"num_nodes": 5, "depth": depth}
        return written(RandomArcsStage(experiment="a", space="new", space_settings=given, random_arcs=RandomArcs()))

    assert settings(1)["space_settings"] == {"num_nodes": 5}
    assert settings(2)["space_settings"] == {"num_nodes": 5, "depth": 2}


# --- revisions ------------------------------------------------------------------------------------------------------


def augment_settings() -> AugmentStage:
    raw = {"experiments": {"a": {"dataset": {"name": "cifar10", "source": "torchvision"}}}}
    settings = stage_settings("a", parse_workflow(raw).experiments["a"], "augment")
    assert isinstance(settings, AugmentStage)
    return settings


def test_another_revision_is_another_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = augment_settings()
    assert "revision" not in written(before)
    monkeypatch.setitem(revisions.CHANGES, "augment", (Change("9.1.0", "new"),))
    after = augment_settings()
    assert written(after) == written(before) | {"revision": 2}

    path = tmp_path / "augment.json"
    path.write_text(to_json(after))
    assert read_stage(path, AugmentStage) == after


def test_settings_of_another_revision_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that is called by hand must not give old settings new results."""
    path = tmp_path / "augment.json"
    path.write_text(to_json(augment_settings()))
    monkeypatch.setitem(revisions.CHANGES, "augment", (Change("9.1.0", "new"),))
    with pytest.raises(UserError, match="revision: 1: this version computes revision 2 of augment") as caught:
        read_stage(path, AugmentStage)
    assert str(caught.value).startswith(f"{path}: ")
