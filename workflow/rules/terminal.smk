# What a run says of its jobs. Included last, when all rules are there.
from snakemake.settings.enums import Quietness


def one_line(rule):
    """A job's rule, experiment and other wildcards."""
    others = sorted(set(rule.wildcard_names) - {"experiment"})
    words = [f"{name} {{wildcards.{name}}}" for name in others]
    if "experiment" in rule.wildcard_names:
        words.insert(0, "{wildcards.experiment}")
    return f"{rule.name}: {', '.join(words)}" if words else rule.name


# Snakemake names all files of a job, thousands of characters where it compares many networks. Whoever does not want to
# hear the reason for a job (`quiet: reason` in profiles/default of workflow/) does not want to hear them either.
if Quietness.REASON in (workflow.output_settings.quiet or ()):
    for its_rule in workflow.rules:
        if its_rule.message is None:
            its_rule.message = one_line(its_rule)
