# Search, and the choice of one arc.


rule search:
    input:
        config="results/{experiment}/config/search.json",
        manifest=manifest,
        checked=images_are_checked,
        arrays=arrays,
    output:
        epochs="results/{experiment}/search/s{seed}/epochs.parquet",
        supernet="results/{experiment}/search/s{seed}/supernet.pt",
    log:
        "results/{experiment}/logs/search-s{seed}.log",
    benchmark:
        "results/{experiment}/benchmarks/search-s{seed}.tsv"
    priority: 1  # first of what is ready, since the longest chain of jobs begins with it
    threads: cpu_threads
    resources:
        gpu=gpus,
        device=DEVICE,
        save_every=str(WORKFLOW.save_every),
        tensorboard=TENSORBOARD,
        mem_mb=per_attempt(8000),
        runtime=run_time("search", otherwise=24 * 60),
    params:
        data=subpath(input.manifest, parent=True),
        out_dir=subpath(output.epochs, parent=True),
        state_dir=f"{STATE}/search/s{{seed}}",
    shell:
        "python -m enas_core.search --config {input.config} --data {params.data} --seed {wildcards.seed}"
        " --out-dir {params.out_dir} --state-dir {params.state_dir}"
        " --save-every {resources.save_every} {resources.tensorboard} --device {resources.device} --gpus {resources.gpu}"
        " --log-file {log}"


rule select_arc:
    input:
        config="results/{experiment}/config/select_arc.json",
        manifest=manifest,
        arrays=arrays,
        supernet="results/{experiment}/search/s{seed}/supernet.pt",
    output:
        candidates="results/{experiment}/search/s{seed}/own/candidates.parquet",
        arc="results/{experiment}/arcs/searched-s{seed}.txt",
        signal="results/{experiment}/search/s{seed}/signal.parquet",
    log:
        "results/{experiment}/logs/select_arc-s{seed}.log",
    benchmark:
        "results/{experiment}/benchmarks/select_arc-s{seed}.tsv"
    threads: cpu_threads
    resources:
        gpu=gpus,
        device=DEVICE,
        save_every=str(WORKFLOW.save_every),
        state_dir=selection_state,
        mem_mb=per_attempt(6000),
        runtime=run_time("select_arc", otherwise=120),
    params:
        data=subpath(input.manifest, parent=True),
        out_dir=subpath(output.candidates, parent=True),
    shell:
        "python -m enas_core.select_arc --config {input.config} --data {params.data} --seed {wildcards.seed}"
        " --supernet {input.supernet} --out-dir {params.out_dir} --arc-out {output.arc}"
        " --signal-out {output.signal} --state-dir {resources.state_dir} --save-every {resources.save_every}"
        " --device {resources.device} --gpus {resources.gpu} --log-file {log}"


# Apart from the choice, so that more random or named arcs leave the selected one, and its network, alone.
rule score_arcs:
    input:
        config="results/{experiment}/config/select_arc.json",
        manifest=manifest,
        arrays=arrays,
        supernet="results/{experiment}/search/s{seed}/supernet.pt",
        own="results/{experiment}/search/s{seed}/own/candidates.parquet",
        random_arcs=random_arcs_table,
        named_arcs=collect(
            "results/{{experiment}}/arcs/{named}.txt", named=named_networks
        ),
    output:
        "results/{experiment}/search/s{seed}/candidates.parquet",
    log:
        "results/{experiment}/logs/score_arcs-s{seed}.log",
    benchmark:
        "results/{experiment}/benchmarks/score_arcs-s{seed}.tsv"
    threads: cpu_threads
    resources:
        gpu=gpus,
        device=DEVICE,
        mem_mb=per_attempt(6000),
        runtime=run_time("score_arcs", otherwise=120),
    params:
        data=subpath(input.manifest, parent=True),
        out_dir=subpath(output[0], parent=True),
    shell:
        "python -m enas_core.select_arc --config {input.config} --data {params.data} --seed {wildcards.seed}"
        " --supernet {input.supernet} --own {input.own} --random-arcs {input.random_arcs}"
        " --named-arc {input.named_arcs} --out-dir {params.out_dir}"
        " --device {resources.device} --gpus {resources.gpu} --log-file {log}"


# Another way to choose an arc from the same supernet, for the record: it changes neither the selected arc nor its files.
rule try_strategy:
    input:
        config="results/{experiment}/config/strategies.json",
        manifest=manifest,
        arrays=arrays,
        supernet="results/{experiment}/search/s{seed}/supernet.pt",
    output:
        candidates="results/{experiment}/search/s{seed}/strategies/{strategy}/candidates.parquet",
        arc="results/{experiment}/arcs/{strategy}-s{seed}.txt",
    log:
        "results/{experiment}/logs/try_strategy-{strategy}-s{seed}.log",
    benchmark:
        "results/{experiment}/benchmarks/try_strategy-{strategy}-s{seed}.tsv"
    threads: cpu_threads
    resources:
        gpu=gpus,
        device=DEVICE,
        save_every=str(WORKFLOW.save_every),
        state_dir=selection_state,
        mem_mb=per_attempt(6000),
        runtime=run_time("try_strategy", otherwise=120),
    params:
        data=subpath(input.manifest, parent=True),
        out_dir=subpath(output.candidates, parent=True),
    shell:
        "python -m enas_core.select_arc --config {input.config} --strategy {wildcards.strategy} --data {params.data}"
        " --seed {wildcards.seed} --supernet {input.supernet} --out-dir {params.out_dir} --arc-out {output.arc}"
        " --state-dir {resources.state_dir} --save-every {resources.save_every}"
        " --device {resources.device} --gpus {resources.gpu} --log-file {log}"


rule strategies:
    input:
        config="results/{experiment}/config/strategies.json",
        own="results/{experiment}/search/s{seed}/own/candidates.parquet",
        others=collect(
            "results/{{experiment}}/search/s{{seed}}/strategies/{strategy}/candidates.parquet",
            strategy=compared_strategies,
        ),
    output:
        "results/{experiment}/search/s{seed}/strategies.parquet",
    log:
        "results/{experiment}/logs/strategies-s{seed}.log",
    benchmark:
        "results/{experiment}/benchmarks/strategies-s{seed}.tsv"
    shell:
        "python -m enas_core.strategies --config {input.config} --seed {wildcards.seed}"
        " --candidates {input.own} {input.others} --out {output} --log-file {log}"
