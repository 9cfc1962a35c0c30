"""What stopping early would have kept and saved, for every share that goes on."""

from pathlib import Path

import reporting

from enas_core.analysis.halving import about_halving
from enas_core.files.tables import read_table

reporting.start(snakemake.log[0])
rows = read_table(Path(snakemake.input.halving), "halving")

text = about_halving(rows)
text = f"{text[0].upper()}{text[1:]}."
if rows[0]["keep"] is None:
    figure, ax = reporting.panels(1)
    reporting.nothing(ax, text)
else:
    figure, (shares, losses) = reporting.panels(2, height=3.8)
    keep = [row["keep"] for row in rows]
    by_chance = [row["n_survivors"] / row["n_random"] for row in rows]
    shares.plot(keep, [row["best_share"] for row in rows], ".-", color=reporting.ORANGE, label="of the best, kept")
    shares.plot(keep, by_chance, ":", color=reporting.GREY, label="by chance")
    shares.plot(keep, [row["cost_share"] for row in rows], "--", color=reporting.BLUE, label="of the hours, paid")
    shares.set(title=f"Rungs after epoch {', '.join(rows[0]['rungs'].split())}", ylabel="share", ylim=(-0.02, 1.02))
    shares.legend()
    losses.plot([row["cost_share"] for row in rows], [row["regret"] for row in rows], "o", color=reporting.ORANGE, ms=4)
    losses.set(title="What is lost", xlabel="share of the hours", ylabel="test accuracy below the best of all")
    shares.set_xlabel("share of the arcs that goes on at each rung")
    for axis in (shares.xaxis, shares.yaxis, losses.xaxis, losses.yaxis):
        reporting.percent(axis)
    reporting.remark(figure, [text])
reporting.save(figure, snakemake.output[0])
