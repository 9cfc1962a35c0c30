# What rules take from the settings of the experiment that a job belongs to: input files, parameters, resources.


def settings_of(name):
    """The settings of the experiment called `name`."""
    if name not in WORKFLOW.experiments:
        raise WorkflowError(
            f"config.yaml: experiments: {name!r} is not there; allowed: {', '.join(WORKFLOW.experiments)}"
        )
    return WORKFLOW.experiments[name]


def experiment(wildcards):
    return settings_of(wildcards.experiment)


def search_seeds(wildcards):
    return experiment(wildcards).search.seeds


def augment_seeds(wildcards):
    return experiment(wildcards).augment.seeds


def named_networks(wildcards):
    return list(experiment(wildcards).arcs)


def searched_networks(wildcards):
    found = networks.networks_of(experiment(wildcards))
    return [network.name for network in found if network.role == "searched"]


def all_networks(wildcards):
    return [network.name for network in networks.networks_of(experiment(wildcards))]


def num_random_arcs(wildcards):
    return experiment(wildcards).baseline.num_arcs


def first_augment_seed(wildcards):
    return augment_seeds(wildcards)[0]


# Files that several rules read.
ARRAYS = expand(
    "results/{{experiment}}/data/{part}_{what}.npy",
    part=["train", "test"],
    what=["images", "labels"],
)
SEARCH_EPOCHS = collect(
    "results/{{experiment}}/search/s{seed}/epochs.parquet", seed=search_seeds
)
CANDIDATES = collect(
    "results/{{experiment}}/search/s{seed}/candidates.parquet", seed=search_seeds
)
SIGNALS = collect(
    "results/{{experiment}}/search/s{seed}/signal.parquet", seed=search_seeds
)
TRAINING_EPOCHS = collect(
    "results/{{experiment}}/networks/{network}/seed{seed}/epochs.parquet",
    network=all_networks,
    seed=augment_seeds,
)


def resolved_settings(wildcards):
    """The settings that a stage depends on, as text."""
    settings = stage_settings(
        wildcards.experiment, experiment(wildcards), wildcards.stage
    )
    return to_json(settings)


def listed_arc(wildcards):
    """The entry of `arcs` in config.yaml that a job writes."""
    arcs = experiment(wildcards).arcs
    if wildcards.named not in arcs:
        raise WorkflowError(
            f"config.yaml: experiments.{wildcards.experiment}.arcs: {wildcards.named!r} is not there;"
            f" allowed: {', '.join(arcs) or 'none'}"
        )
    return arcs[wildcards.named]


def source_candidates(wildcards):
    """Tables of the experiment that an arc is taken from; none for an arc that stands in config.yaml itself."""
    arc = listed_arc(wildcards)
    if not isinstance(arc, Transfer):
        return []
    return expand(
        "results/{experiment}/search/s{seed}/own/candidates.parquet",
        experiment=arc.source,
        seed=settings_of(arc.source).search.seeds,
    )


def arc_source(wildcards, input):
    if input.candidates:
        return f"--candidates {input.candidates}"
    space = experiment(wildcards).space
    return f"--space {space} --arc {shlex.quote(listed_arc(wildcards))}"


def network_origin(wildcards):
    """Where the arc of a network comes from, as `augment` records it."""
    all_of_them = networks.networks_of(experiment(wildcards))
    known = {network.name: network for network in all_of_them}
    if wildcards.network not in known:
        raise WorkflowError(
            f"config.yaml: experiments.{wildcards.experiment}: {wildcards.network!r} is none of its networks;"
            " search.seeds, baseline.num_arcs and arcs say which there are"
        )
    network = known[wildcards.network]
    if network.search_seed is None:
        return f"--role {network.role}"
    return f"--role {network.role} --search-seed {network.search_seed}"


def report_files(wildcards):
    """Figures and tables of an experiment's report."""
    cells = searched_networks(wildcards)
    if experiment(wildcards).baseline.num_arcs > 0:
        cells.append("best-random")
    figures = ["found_vs_random", "shared_vs_test", "search", "candidates", "augment"]
    figures += [f"cell-{cell}" for cell in cells]
    tables = ["comparison", "networks", "settings"]
    return [f"{figure}.svg" for figure in figures] + [
        f"{table}.html" for table in tables
    ]


def folders_of(name):
    """A parameter: the folders of the input files called `name`."""

    def folders(wildcards, input):
        return [os.path.dirname(file) for file in input[name]]

    return folders


def cpu_threads(wildcards):
    return experiment(wildcards).cpu_threads


def gpus(wildcards):
    """One GPU, or none where a job could not use it: on the CPU, or here on this machine when there is no GPU in it. So
    no job waits for another one's GPU where there are none."""
    if WORKFLOW.device == "cpu":
        return 0
    # A dry run does not know whether jobs will be submitted to machines that have GPUs.
    runs_here = workflow.local_exec and not workflow.dryrun
    if WORKFLOW.device == "auto" and runs_here and not visible_gpus():
        return 0
    return 1


def per_attempt(amount):
    """A resource of which each retry gets `amount` more."""

    def attempted(wildcards, attempt):
        return amount * attempt

    return attempted
