# Settings of each stage, images, random arcs.


rule resolve_config:
    output:
        "results/{experiment}/config/{stage}.json",
    log:
        "results/{experiment}/logs/resolve_config-{stage}.log",
    benchmark:
        "results/{experiment}/benchmarks/resolve_config-{stage}.tsv"
    params:
        settings=resolved_settings,
    script:
        "../scripts/resolve_config.py"


rule prepare_data:
    input:
        config="results/{experiment}/config/prepare_data.json",
    output:
        manifest="results/{experiment}/data/manifest.json",
        arrays=expand("results/{{experiment}}/data/{array}", array=ARRAYS),
    log:
        "results/{experiment}/logs/prepare_data.log",
    benchmark:
        "results/{experiment}/benchmarks/prepare_data.tsv"
    threads: decoding_threads
    resources:
        data_path=DATA_PATH,
        mem_mb=per_attempt(2000),
        runtime=per_attempt(60),
    params:
        download_dir=DOWNLOADS,
        out_dir=subpath(output.manifest, parent=True),
    shell:
        "python -m enas_core.prepare_data --config {input.config} {resources.data_path}"
        " --download-dir {params.download_dir} --out-dir {params.out_dir} --log-file {log}"


# Before hours are spent: whether the images, once they are there, are what the settings of all trainings count on. New
# settings do not run it again, since that would run every training again; each stage checks its own when it starts.
rule check_images:
    input:
        manifest="results/{experiment}/data/manifest.json",
        stages=ancient(
            collect(
                "results/{{experiment}}/config/{stage}.json",
                stage=["search", "augment"],
            )
        ),
    output:
        "results/{experiment}/data/checked",
    log:
        "results/{experiment}/logs/check_images.log",
    benchmark:
        "results/{experiment}/benchmarks/check_images.tsv"
    shell:
        "python -m enas_core.config --check-images {input.manifest} --stages {input.stages} --out {output}"
        " --log-file {log}"


rule random_arcs:
    input:
        config="results/{experiment}/config/random_arcs.json",
        manifest=manifest_where_limited,
    output:
        "results/{experiment}/random_arcs.parquet",
    log:
        "results/{experiment}/logs/random_arcs.log",
    benchmark:
        "results/{experiment}/benchmarks/random_arcs.tsv"
    params:
        num_arcs=num_random_arcs,
    shell:
        "python -m enas_core.random_arcs --config {input.config} --manifest {input.manifest}"
        " --count {params.num_arcs} --out {output} --log-file {log}"


# One job for each arc, so that more arcs leave the files of the first ones, and their networks, alone.
rule random_arc:
    input:
        config="results/{experiment}/config/random_arcs.json",
        manifest=manifest_where_limited,
    output:
        "results/{experiment}/arcs/random-{index}.txt",
    log:
        "results/{experiment}/logs/random_arc-{index}.log",
    benchmark:
        "results/{experiment}/benchmarks/random_arc-{index}.tsv"
    shell:
        "python -m enas_core.random_arcs --config {input.config} --manifest {input.manifest}"
        " --index {wildcards.index} --arc-out {output} --log-file {log}"
