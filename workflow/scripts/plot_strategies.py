"""Ways to choose an arc from the same shared weights: how fast each finds good ones, and what its choices reach."""

from pathlib import Path

import numpy as np
import reporting

from enas_core.analysis.strategies import bought, bought_by_choosing, reached
from enas_core.files.tables import read_table

COLOURS = (reporting.ORANGE, reporting.BLUE, reporting.GREEN, reporting.PURPLE)
LINES = ("-", "--", "-.", ":")
MARKERS = "Do^s"


def curves(rows: list[dict]) -> list[list[float]]:
    """The best accuracy so far of one strategy, a search a curve; one that found fewer arcs stays where it ended."""
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    found = [[row["best_so_far"] for row in rows if row["seed"] == seed] for seed in seeds]
    longest = max(map(len, found))
    return [curve + [curve[-1]] * (longest - len(curve)) for curve in found]


reporting.start(snakemake.log[0])
rows = [row for path in snakemake.input.strategies for row in read_table(Path(path), "strategies")]
metrics = read_table(Path(snakemake.input.metrics), "metrics")
names = list(dict.fromkeys(row["strategy"] for row in rows))
looks = {
    name: reporting.Look(name.replace("_", " "), *look)
    for name, look in zip(names, zip(COLOURS, MARKERS, LINES, strict=True), strict=False)
}

figure, (shared, trained) = reporting.panels(2, height=4.0, width_ratios=[3, 2])
for name, look in looks.items():
    found = np.array(curves([row for row in rows if row["strategy"] == name]))
    steps = range(1, found.shape[1] + 1)
    shared.fill_between(steps, found.min(0), found.max(0), color=look.colour, alpha=0.15, linewidth=0)
    shared.plot(steps, found.mean(0), look.line, color=look.colour, label=look.label)
searches = len({row["seed"] for row in rows})
shared.set(title=f"With the shared weights, {searches} search{'es' if searches > 1 else ''}", xlabel="evaluations")
shared.set_ylabel("best validation accuracy so far")
shared.locator_params(axis="x", integer=True)
shared.legend(loc="lower right")
reporting.percent(shared.yaxis)

values_of = reached(metrics)
for x, (name, look) in enumerate(looks.items()):
    values = list(values_of.get(name, {}).values())
    if values:
        places = [x + offset for offset in reporting.spread(len(values))]
        reporting.points(trained, places, values, 60, look, zorder=3)
        reporting.group_mean(trained, x, values, look.colour)
trained.set_xticks(range(len(looks)), [look.label.replace(" ", "\n") for look in looks.values()])
trained.set_xlim(-0.6, len(looks) - 0.4)
trained.set(title="Trained from scratch", ylabel="test accuracy")
reporting.percent(trained.yaxis)

texts = [text for text in (bought(metrics), bought_by_choosing(metrics)) if text is not None]
if texts:
    reporting.remark(figure, [f"{text[0].upper()}{text[1:]}." for text in texts])
reporting.save(figure, snakemake.output[0])
