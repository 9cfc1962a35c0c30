# ENAS micro search: data -> random arcs -> search -> arc selection -> augment. See README.md.
from snakemake.utils import min_version

min_version("9.3")


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/augment.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/ablation.smk"


localrules:
    all,
    resolve_config,
    check_images,
    random_arcs,
    random_arc,
    named_arc,
    final,
    class_accuracy,
    strategies,
    compare,
    ablation,
    plot_search,
    plot_candidates,
    plot_front,
    plot_strategies,
    plot_augment,
    plot_found_vs_random,
    plot_shared_vs_test,
    plot_ablation,
    plot_confusion,
    draw_cells,
    write_tables,
    report,
    report_files,


rule all:
    default_target: True
    input:
        "results/digits/final.pt",
        "results/digits/comparison.parquet",
        "results/digits/report.html",
        "results/digits/report/complete",


include: "workflow/rules/terminal.smk"
