# Found against random networks, and the report.


rule compare:
    input:
        epochs=lambda wildcards: trainings(wildcards.experiment, "epochs.parquet"),
        models=lambda wildcards: trainings(wildcards.experiment, "model.pt"),
        searches=lambda wildcards: searches(wildcards.experiment, "epochs.parquet"),
        candidates=lambda wildcards: searches(
            wildcards.experiment, "candidates.parquet"
        ),
    output:
        metrics="results/{experiment}/metrics.parquet",
        comparison="results/{experiment}/comparison.parquet",
        csv="results/{experiment}/comparison.csv",
    log:
        "results/{experiment}/logs/compare.log",
    benchmark:
        "results/{experiment}/benchmarks/compare.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        networks=lambda wildcards, input: folders(input.epochs),
        searches=lambda wildcards, input: folders(input.candidates),
        out_dir=subpath(output.metrics, parent=True),
    shell:
        "python -m enas_core.compare --networks {params.networks} --searches {params.searches}"
        " --out-dir {params.out_dir} --log-file {log}"
