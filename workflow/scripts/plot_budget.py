"""Random search against device-hours, and where the found networks lie."""

from pathlib import Path

import reporting

from enas_core.analysis.budget import expected_best, outcomes, paid_networks, why_no_interval, with_interval
from enas_core.analysis.comparison import summarise
from enas_core.analysis.sentences import about_equal_hours
from enas_core.analysis.statistics import mean_of_known
from enas_core.files.tables import read_table

MANY_ARCS = 200
"""Of more random arcs, the curve is drawn at so many numbers of arcs."""

reporting.start(snakemake.log[0])
metrics = read_table(Path(snakemake.input.metrics), "metrics")
random = [network for network in paid_networks(metrics, "random") if network.valid_accuracy is not None]
found = [network for network in paid_networks(metrics, "searched") if network.hours is not None]
hours = mean_of_known(network.hours for network in random)

figure, ax = reporting.panels(1, height=4.2)
if not hours:
    reporting.nothing(ax, "No random arc has a validation accuracy (augment.valid_images), by which the best is chosen")
else:
    valid = [network.valid_accuracy for network in random]
    test = [network.test_accuracy for network in random]
    step = max(1, len(random) // MANY_ARCS)
    sizes = list(range(1, len(random) + 1, step))
    times = [k * hours for k in sizes]
    expected = [expected_best(valid, test, k) for k in sizes]
    reached = [outcomes(valid, test, k) for k in sizes]
    look, of_found = reporting.ROLES["random"], reporting.ROLES["searched"]
    ax.fill_between(
        times,
        [low for low, _ in reached],
        [high for _, high in reached],
        color=look.colour,
        alpha=0.12,
        lw=0,
        label="95 % of choices of so many arcs",
    )
    sure = [i for i, k in enumerate(sizes) if not why_no_interval(len(random), k)]
    if sure:
        intervals = [with_interval(expected[i]) for i in sure]
        ax.fill_between(
            [times[i] for i in sure],
            [interval.low for interval in intervals],
            [interval.high for interval in intervals],
            color=look.colour,
            alpha=0.3,
            lw=0,
            label="95 % interval of the mean",
        )
    ax.plot(times, [point.value for point in expected], color=look.colour, label="random search")
    if found:
        costs = [network.hours for network in found]
        accuracies = [network.test_accuracy for network in found]
        reporting.points(ax, costs, accuracies, 30, of_found, alpha=0.6, linewidths=0, label="found, each search")
        mean = sum(accuracies) / len(accuracies)
        reporting.points(ax, [sum(costs) / len(costs)], [mean], 90, of_found, label="found, mean", zorder=4)
    ax.set(title="Random search at equal hours", xlabel="device-hours", ylabel="test accuracy")
    reporting.percent(ax.yaxis)
    ax.legend(loc="best")
    text = about_equal_hours(*summarise(metrics))
    reporting.remark(figure, [f"{text[0].upper()}{text[1:]}."])
reporting.save(figure, snakemake.output[0])
