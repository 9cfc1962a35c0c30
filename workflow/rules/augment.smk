# Named arcs, training of single arcs, and the final network.


# An arc of config.yaml, or the one that another experiment has found.
rule named_arc:
    input:
        candidates=lambda wildcards: source_candidates(named_arc(wildcards)),
    output:
        "results/{experiment}/arcs/{named}.txt",
    log:
        "results/{experiment}/logs/named_arc-{named}.log",
    benchmark:
        "results/{experiment}/benchmarks/named_arc-{named}.tsv"
    params:
        source=lambda wildcards, input: (
            f"--candidates {input.candidates}"
            if input.candidates
            else f"--arc {shlex.quote(named_arc(wildcards))}"
        ),
    shell:
        "python -m enas_core.final {params.source} --arc-out {output} --log-file {log}"


rule augment:
    input:
        config="results/{experiment}/config/augment.json",
        manifest="results/{experiment}/data/manifest.json",
        arrays=ARRAYS,
        arc="results/{experiment}/arcs/{network}.txt",
    output:
        epochs="results/{experiment}/networks/{network}/seed{seed}/epochs.parquet",
        model="results/{experiment}/networks/{network}/seed{seed}/model.pt",
    log:
        "results/{experiment}/logs/augment-{network}-seed{seed}.log",
    benchmark:
        "results/{experiment}/benchmarks/augment-{network}-seed{seed}.tsv"
    threads: lambda wildcards: experiment(wildcards).cpu_threads
    resources:
        gpu=1,
        device=WORKFLOW.device,
        save_every=str(WORKFLOW.save_every),
        tensorboard=TENSORBOARD,
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=lambda wildcards, attempt: 48 * 60 * attempt,
    params:
        data=subpath(input.manifest, parent=True),
        out_dir=subpath(output.epochs, parent=True),
    shell:
        "python -m enas_core.augment --config {input.config} --data {params.data} --arc-file {input.arc}"
        " --network {wildcards.network} --seed {wildcards.seed} --out-dir {params.out_dir}"
        " --state-dir results/{wildcards.experiment}/_state/augment/{wildcards.network}/seed{wildcards.seed}"
        " --save-every {resources.save_every} {resources.tensorboard} --device {resources.device} --gpus {resources.gpu}"
        " --log-file {log}"


rule final:
    input:
        candidates=lambda wildcards: own_candidates(wildcards.experiment),
        models=lambda wildcards: expand(
            "results/{experiment}/networks/{network}/seed{seed}/model.pt",
            experiment=wildcards.experiment,
            network=searched_networks(wildcards.experiment),
            seed=experiment(wildcards).augment.seeds[0],
        ),
    output:
        "results/{experiment}/final.pt",
    log:
        "results/{experiment}/logs/final.log",
    benchmark:
        "results/{experiment}/benchmarks/final.tsv"
    params:
        models=lambda wildcards, input: folders(input.models),
    shell:
        "python -m enas_core.final --candidates {input.candidates} --models {params.models} --out {output}"
        " --log-file {log}"
