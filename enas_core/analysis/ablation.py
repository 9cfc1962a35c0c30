"""Which settings of a search matter (`enas_core.ablation`, the report): variants of one experiment, each searched with
several seeds, judged by the same random arcs, which the experiment has trained from scratch once.

The unit of every statistic is a search. A variant is compared with the preset that it differs from in one setting, the
preset `corrected` with `original`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from enas_core.analysis.ranking import top_k
from enas_core.analysis.results import Row, SearchResult, read_search
from enas_core.analysis.statistics import ALPHA, holm, kendall_tau, mean_difference, mean_of_known
from enas_core.console import UserError
from enas_core.files.common_columns import SIGNAL_CHECK
from enas_core.settings.stages import AblationStage
from enas_core.settings.variants import CORRECTED, ORIGINAL, Variant

MEASURES = {"candidates_mean": "the candidates' mean accuracy", "kendall_tau": "Kendall's tau"}
"""Columns by which variants are judged: has the search learned, and is its order of arcs the right one?"""


def ablation_rows(settings: AblationStage, metrics: Sequence[Row], searches: Sequence[Path]) -> list[Row]:
    """The rows of ablation.parquet. `metrics` are those of the experiment, `searches` the folders of the variants' own.
    Raises UserError where a folder is of none of the variants."""
    known = {variant.of(settings.experiment): variant for variant in settings.variants}
    truth = accuracy_from_scratch(metrics)
    rows = []
    for folder in searches:
        seed, search = read_search(folder)
        if search.experiment not in known:
            raise UserError(
                f"{folder}: a search of {search.experiment!r}, which is no variant of {settings.experiment!r}"
            )
        variant = known[search.experiment]
        about = {"experiment": settings.experiment, "dataset": metrics[0]["dataset"], "variant": variant.name}
        about |= {"preset": variant.preset, "key": variant.key, "seed": seed}
        rows.append(about | judged(search, truth))
    return rows


def accuracy_from_scratch(metrics: Sequence[Row]) -> dict[str, float]:
    """Test accuracy of each random arc, the mean over its trainings."""
    trainings: dict[str, list[float]] = {}
    for row in metrics:
        if row["role"] == "random" and row["test_accuracy"] is not None:
            trainings.setdefault(row["arc"], []).append(row["test_accuracy"])
    return {arc: sum(values) / len(values) for arc, values in trainings.items()}


def judged(search: SearchResult, truth: Mapping[str, float]) -> Row:
    """What a search has reached, and how its shared weights rank the random arcs against the truth."""
    arcs = [arc for arc in search.random if arc in truth]
    shared, test = [search.random[arc] for arc in arcs], [truth[arc] for arc in arcs]
    tau, top = kendall_tau(shared, test), top_k(shared, test)
    checked = search.signal or {}
    return {
        **{column: checked.get(column) for column in SIGNAL_CHECK},
        "n_random": len(arcs),
        "random_mean": mean_of_known(shared),
        "kendall_tau": tau.value,
        "tau_low": tau.low,
        "tau_high": tau.high,
        "k": top.k,
        "precision_at_k": top.precision,
        "regret_at_k": top.regret,
        "controller_entropy": search.entropy,
        "hours": search.seconds / 3600,
    }


class Effect(NamedTuple):
    """How far a variant's mean of a column is above that of what it is compared with."""

    variant: str
    reference: str
    change: float
    low: float | None
    high: float | None
    p: float | None
    """Two-sided, corrected for the number of variants; None where the seeds are too few, or all give the same."""

    @property
    def exceeds_noise(self) -> bool:
        """Whether seeds alone hardly make such a difference."""
        return self.p is not None and self.p < ALPHA


def reference_of(variant: Variant) -> str | None:
    """Name of the variant that one is compared with; None for the preset `original`."""
    if variant.key is not None:
        return variant.preset
    return ORIGINAL if variant.preset == CORRECTED else None


def values_of(rows: Sequence[Row], column: str) -> dict[str, list[float]]:
    """The known values of a column, of each variant in the order of the rows."""
    values: dict[str, list[float]] = {}
    for row in rows:
        of_variant = values.setdefault(row["variant"], [])
        if row[column] is not None:
            of_variant.append(row[column])
    return values


def effects(rows: Sequence[Row], column: str) -> list[Effect]:
    """The effect on a column of each variant that has values, the largest first."""
    values = values_of(rows, column)
    variants = {row["variant"]: Variant(preset=row["preset"], key=row["key"]) for row in rows}
    found = []
    for name, variant in variants.items():
        reference = reference_of(variant)
        if reference is not None and values[name] and values.get(reference):
            found.append(Effect(name, reference, *mean_difference(values[name], values[reference])))

    tested = [i for i, effect in enumerate(found) if effect.p is not None]
    corrected = holm([p for effect in found if (p := effect.p) is not None])
    for i, p in zip(tested, corrected, strict=True):
        found[i] = found[i]._replace(p=p)
    return sorted(found, key=lambda effect: -abs(effect.change))


def in_order_of_effect(rows: Sequence[Row], column: str) -> dict[str, list[str]]:
    """Names of the variants under each preset: the preset itself, then those with the largest effect first."""
    order = {row["preset"]: [row["preset"]] for row in rows}
    for effect in effects(rows, column):
        if effect.reference in order and effect.variant not in order:
            order[effect.reference].append(effect.variant)
    return order


def sentences(settings: AblationStage, rows: Sequence[Row]) -> list[str]:
    """Which changes exceed the noise between seeds, in order of effect; then what was left out, and why."""
    lines = []
    for column, name in MEASURES.items():
        lines += _about(name, effects(rows, column))
    lines += [f"left out: {key}: {reason}" for key, reason in settings.left_out.items()]
    return lines


def _about(name: str, found: Sequence[Effect]) -> list[str]:
    if not found:
        return [f"{name}: not known of any two variants"]
    lines, within, unknown = [], [], []
    for effect in found:
        change = f"{effect.variant} {effect.change:+.3f}"
        if effect.p is None:
            unknown.append(change)
        elif not effect.exceeds_noise:
            within.append(change)
        else:
            lines.append(
                f"{name}: {effect.variant} against {effect.reference} {effect.change:+.3f}"
                f" [{effect.low:+.3f}, {effect.high:+.3f}], which exceeds the noise between seeds: p = {effect.p:.3g}"
            )
    if within:
        lines.append(f"{name}: not beyond the noise between seeds: {', '.join(within)}")
    if unknown:
        lines.append(f"{name}: too few seeds to say whether it is noise: {', '.join(unknown)}")
    return lines
