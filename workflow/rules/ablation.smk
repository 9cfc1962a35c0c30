# Which settings of a search matter: its variants against each other.


rule ablation:
    input:
        config="results/{experiment}/config/ablation.json",
        metrics="results/{experiment}/metrics.parquet",
        epochs=of_each_variant("epochs.parquet"),
        candidates=of_each_variant("candidates.parquet"),
        signal=of_each_variant("signal.parquet"),
    output:
        "results/{experiment}/ablation.parquet",
    log:
        "results/{experiment}/logs/ablation.log",
    benchmark:
        "results/{experiment}/benchmarks/ablation.tsv"
    resources:
        mem_mb=per_attempt(2000),
        runtime=per_attempt(30),
    params:
        searches=folders_of("candidates"),
    shell:
        "python -m enas_core.ablation --config {input.config} --metrics {input.metrics} --searches {params.searches}"
        " --out {output} --log-file {log}"


rule plot_ablation:
    input:
        ablation="results/{experiment}/ablation.parquet",
    output:
        report(
            "results/{experiment}/report/ablation.svg",
            category="{experiment}",
            subcategory="2 Search",
            labels={"figure": "which settings matter"},
            caption="../report/ablation.rst",
        ),
    log:
        "results/{experiment}/logs/plot_ablation.log",
    benchmark:
        "results/{experiment}/benchmarks/plot_ablation.tsv"
    script:
        "../scripts/plot_ablation.py"
