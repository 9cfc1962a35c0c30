# What rules take from the settings of the experiment that a job belongs to: input files, parameters, resources.


@functools.cache
def settings_of(name):
    """The settings of the experiment called `name`, which may be a variant of one in config.yaml."""
    require_folder(f"{RESULTS}{name}")
    try:
        return WORKFLOW.settings_of(name)
    except ValueError as error:
        raise WorkflowError(f"config.yaml: {error}")


def experiment(wildcards):
    return settings_of(wildcards.experiment)


def search_seeds(wildcards):
    return experiment(wildcards).search.seeds


def augment_seeds(wildcards):
    return experiment(wildcards).augment.seeds


def named_networks(wildcards):
    return list(experiment(wildcards).arcs)


@functools.cache
def networks_by_name(name):
    """The networks of the experiment called `name`. Every training asks for its own one, and there may be thousands."""
    return {
        network.name: network for network in networks.networks_of(settings_of(name))
    }


def searched_networks(wildcards):
    found = networks_by_name(wildcards.experiment).values()
    return [network.name for network in found if network.role == "searched"]


def num_random_arcs(wildcards):
    return experiment(wildcards).baseline.num_arcs


def first_augment_seed(wildcards):
    return augment_seeds(wildcards)[0]


# Files that several rules read.
ARRAYS = expand("{part}_{what}.npy", part=["train", "test"], what=["images", "labels"])
SEARCH_EPOCHS = collect(
    "results/{{experiment}}/search/s{seed}/epochs.parquet", seed=search_seeds
)
CANDIDATES = collect(
    "results/{{experiment}}/search/s{seed}/candidates.parquet", seed=search_seeds
)
SIGNALS = collect(
    "results/{{experiment}}/search/s{seed}/signal.parquet", seed=search_seeds
)


def strategies(wildcards):
    """What further strategies have evaluated, a table a search; none where there are no such strategies."""
    if not experiment(wildcards).select.compare:
        return []
    return expand(
        "results/{experiment}/search/s{seed}/strategies.parquet",
        experiment=wildcards.experiment,
        seed=search_seeds(wildcards),
    )


def compared_strategies(wildcards):
    return experiment(wildcards).select.compare


def data_folder(wildcards):
    """Where the images of an experiment are. Its variants read the same ones."""
    return f"results/{home_of(wildcards.experiment)}/data"


def manifest(wildcards):
    return f"{data_folder(wildcards)}/manifest.json"


def manifest_where_limited(wildcards):
    """Random arcs depend on the images only where the size of their networks is limited."""
    settings = experiment(wildcards)
    limited = settings.select.size_limit(settings.augment) is not None
    return manifest(wildcards) if limited else []


def images_are_checked(wildcards):
    return f"{data_folder(wildcards)}/checked"


def arrays(wildcards):
    return expand("{folder}/{array}", folder=data_folder(wildcards), array=ARRAYS)


def random_arcs_table(wildcards):
    """The random arcs of an experiment, which may be another one's."""
    source = experiment(wildcards).baseline.source or wildcards.experiment
    return f"results/{source}/random_arcs.parquet"


def of_each_training(file):
    """Input function: a file of each network that an experiment compares. Random networks may be another one's."""

    def files(wildcards):
        name, settings = wildcards.experiment, experiment(wildcards)
        folders = [
            f"results/{networks.trainer_of(network, name, settings)}/networks/{network.name}"
            for network in networks_by_name(name).values()
        ]
        return expand(
            "{folder}/seed{seed}/{file}",
            folder=folders,
            seed=augment_seeds(wildcards),
            file=file,
        )

    return files


def of_each_variant(file):
    """Input function: a file of each search of the variants of an experiment."""

    def files(wildcards):
        variants = variants_of(experiment(wildcards))
        if not variants:
            raise WorkflowError(
                f"config.yaml: experiments.{wildcards.experiment}.ablation.seeds: missing; an ablation needs some"
            )
        return expand(
            "results/{variant}/search/s{seed}/{file}",
            variant=[variant.of(wildcards.experiment) for variant in variants],
            seed=experiment(wildcards).ablation.seeds,
            file=file,
        )

    return files


TRAINING_EPOCHS = of_each_training("epochs.parquet")


def stages_of(wildcards):
    """The stages of an experiment that have settings."""
    without = {stage for stage in WITHOUT_SETTINGS if revision_of(stage) == 1}
    if experiment(wildcards).ablation.seeds is None:
        without.add("ablation")
    if not experiment(wildcards).select.compare:
        without.add("strategies")
    return [stage for stage in STAGES if stage not in without]


def revision(stage):
    """Input function: the settings of a stage that has none but its revision; no file while that is the first one."""

    def files(wildcards):
        if revision_of(stage) == 1:
            return []
        return f"results/{wildcards.experiment}/config/{stage}.json"

    return files


def resolved_settings(wildcards):
    """The settings that a stage depends on, as text."""
    say_what_is_stale(wildcards.experiment, wildcards.stage)
    settings = stage_settings(
        wildcards.experiment, experiment(wildcards), wildcards.stage
    )
    return to_json(settings)


@functools.cache
def say_what_is_stale(name, stage):
    """Once, before anything runs and in a dry run too: which results are made again because the code has changed."""
    line = what_is_stale(Path(f"{RESULTS}{name}"), stage)
    if line is not None:
        logger.warning(line)


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
    known = networks_by_name(wildcards.experiment)
    if wildcards.network not in known:
        raise WorkflowError(
            f"config.yaml: experiments.{wildcards.experiment}: {wildcards.network!r} is none of its networks;"
            " search.seeds, baseline.num_arcs and arcs say which there are"
        )
    network = known[wildcards.network]
    trainer = networks.trainer_of(network, wildcards.experiment, experiment(wildcards))
    if trainer != wildcards.experiment:
        raise WorkflowError(
            f"config.yaml: experiments.{wildcards.experiment}.baseline.from: {wildcards.network!r} is trained by"
            f" {trainer!r}"
        )
    if network.search_seed is None:
        return f"--role {network.role}"
    strategy = "" if network.strategy is None else f" --strategy {network.strategy}"
    return f"--role {network.role} --search-seed {network.search_seed}{strategy}"


def report_figures(wildcards):
    """Figures that both reports show."""
    figures = ["found_vs_random", "shared_vs_test", "search", "candidates", "front"]
    figures += ["augment", "budget", "halving", "confusion"]
    if experiment(wildcards).select.compare:
        figures.append("strategies")
    if experiment(wildcards).ablation.seeds is not None:
        figures.append("ablation")
    return [f"{figure}.svg" for figure in figures]


def report_files(wildcards):
    """Figures and tables of an experiment in Snakemake's report."""
    tables = ["comparison", "networks", "classes", "settings"]
    return [*report_figures(wildcards), "cells", *(f"{table}.html" for table in tables)]


def drawn_networks(wildcards):
    """Networks whose cells are drawn."""
    best_random = ["best-random"] if experiment(wildcards).baseline.num_arcs > 0 else []
    return searched_networks(wildcards) + best_random


def folders_of(name):
    """A parameter: the folders of the input files called `name`."""

    def folders(wildcards, input):
        return [os.path.dirname(file) for file in input[name]]

    return folders


def selection_state(wildcards):
    """Where an interrupted selection goes on from."""
    strategy = wildcards.get("strategy")
    folder = "select_arc" if strategy is None else f"strategies/{strategy}"
    return f"{RESULTS}{wildcards.experiment}/_state/{folder}/s{wildcards.seed}"


def cpu_threads(wildcards):
    return experiment(wildcards).cpu_threads


def decoding_threads(wildcards):
    """Images of the user's own are decoded by as many threads as there are cores; no result depends on it."""
    return 1 if experiment(wildcards).dataset.facts is not None else 8


@functools.cache
def has_gpus():
    """Whether there are any in this machine. A process asks CUDA, and there may be thousands of jobs: it asks once."""
    return bool(visible_gpus())


def gpus(wildcards):
    """One GPU, or none where a job could not use it: on the CPU, or here on this machine when there is no GPU in it. So
    no job waits for another one's GPU where there are none."""
    if WORKFLOW.device == "cpu":
        return 0
    # A dry run does not know whether jobs will be submitted to machines that have GPUs.
    runs_here = workflow.local_exec and not workflow.dryrun
    if WORKFLOW.device == "auto" and runs_here and not has_gpus():
        return 0
    return 1


@functools.cache
def planned_minutes(name, rule):
    """The run time that a plan has found for the jobs of a rule; none where there is no plan of the same settings."""
    planned = RUN_TIMES.get(name, {}).get(rule)
    if planned is None:
        return None
    now = conditions(name, settings_of(name), rule)
    return planned.minutes() if planned.conditions == now else None


def run_time(rule, otherwise):
    """A resource: minutes for a job of `rule`, by a plan or as many as it is given here. Each retry gets as many more."""

    def attempted(wildcards, attempt):
        return attempt * (planned_minutes(wildcards.experiment, rule) or otherwise)

    return attempted


def per_attempt(amount):
    """A resource of which each retry gets `amount` more."""

    def attempted(wildcards, attempt):
        return amount * attempt

    return attempted
