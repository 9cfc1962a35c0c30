# Named arcs, training of single arcs, and the final network.


# An arc of config.yaml, or the one that another experiment has found.
rule named_arc:
    input:
        candidates=source_candidates,
    output:
        "results/{experiment}/arcs/{named}.txt",
    log:
        "results/{experiment}/logs/named_arc-{named}.log",
    benchmark:
        "results/{experiment}/benchmarks/named_arc-{named}.tsv"
    params:
        source=arc_source,
    shell:
        "python -m enas_core.final {params.source} --arc-out {output} --log-file {log}"


rule augment:
    input:
        config="results/{experiment}/config/augment.json",
        manifest=manifest,
        checked=images_are_checked,
        arrays=arrays,
        arc="results/{experiment}/arcs/{network}.txt",
    output:
        epochs="results/{experiment}/networks/{network}/seed{seed}/epochs.parquet",
        model="results/{experiment}/networks/{network}/seed{seed}/model.pt",
    log:
        "results/{experiment}/logs/augment-{network}-seed{seed}.log",
    benchmark:
        "results/{experiment}/benchmarks/augment-{network}-seed{seed}.tsv"
    threads: cpu_threads
    resources:
        gpu=gpus,
        device=DEVICE,
        save_every=str(WORKFLOW.save_every),
        tensorboard=TENSORBOARD,
        training=1,  # grouped into one job of a cluster, they train in turn (the slurm profile limits it)
        mem_mb=per_attempt(16000),
        runtime=run_time("augment", otherwise=48 * 60),
    params:
        data=subpath(input.manifest, parent=True),
        origin=network_origin,
        out_dir=subpath(output.epochs, parent=True),
        state_dir=f"{STATE}/augment/{{network}}/seed{{seed}}",
    shell:
        "python -m enas_core.augment --config {input.config} --data {params.data} --arc-file {input.arc}"
        " --network {wildcards.network} {params.origin} --seed {wildcards.seed}"
        " --out-dir {params.out_dir} --state-dir {params.state_dir}"
        " --save-every {resources.save_every} {resources.tensorboard} --device {resources.device} --gpus {resources.gpu}"
        " --log-file {log}"


rule final:
    input:
        candidates=collect(
            "results/{{experiment}}/search/s{seed}/own/candidates.parquet",
            seed=search_seeds,
        ),
        models=collect(
            "results/{{experiment}}/networks/{network}/seed{seed}/model.pt",
            network=searched_networks,
            seed=first_augment_seed,
        ),
    output:
        "results/{experiment}/final.pt",
    log:
        "results/{experiment}/logs/final.log",
    benchmark:
        "results/{experiment}/benchmarks/final.tsv"
    params:
        models=folders_of("models"),
    shell:
        "python -m enas_core.final --candidates {input.candidates} --models {params.models} --out {output}"
        " --log-file {log}"


# The same network as a file for other runtimes, which has given the same answers.
rule export:
    input:
        network="results/{experiment}/final.pt",
        manifest=manifest,
        arrays=arrays,
    output:
        "results/{experiment}/final.onnx",
    log:
        "results/{experiment}/logs/export.log",
    benchmark:
        "results/{experiment}/benchmarks/export.tsv"
    resources:
        mem_mb=per_attempt(4000),
        runtime=per_attempt(60),
    params:
        data=subpath(input.manifest, parent=True),
    shell:
        "python -m enas_core.export {input.network} --format onnx --data {params.data} --out {output}"
        " --log-file {log}"
