# What a run says of its jobs. Included last, when all of them are known.
from snakemake.settings.enums import Quietness

# Snakemake names all files of a job, thousands of characters where it compares many networks. Whoever does not want to
# hear the reason for a job (`quiet: reason`, as in the local profile) does not want to hear them either: one line names
# the job, its experiment and its other wildcards.
if Quietness.REASON in (workflow.output_settings.quiet or ()):
    for its in workflow.rules:
        others = sorted(its.wildcard_names - {"experiment"})
        words = [f"{name} {{wildcards.{name}}}" for name in others]
        if "experiment" in its.wildcard_names:
            words.insert(0, "{wildcards.experiment}")
        if its.message is None:
            its.message = ": ".join(filter(None, [its.name, ", ".join(words)]))
