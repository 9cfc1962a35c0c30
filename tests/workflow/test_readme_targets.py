"""The targets that README.md names are ones that Snakemake can make, with the README's own experiment."""

import re

import yaml
from workspace import ROOT, Workspace

README = (ROOT / "README.md").read_text()


def test_snakemake_knows_how_to_make_them(tmp_path):
    example = README[README.index("    experiments:\n") :].split("\n\n")[0]
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    content["experiments"] |= yaml.safe_load(example)["experiments"]
    workspace = Workspace(tmp_path)
    workspace.config.write_text(yaml.safe_dump(content))

    targets = set(re.findall(r"^ {4}snakemake .*?(results/\S+)", README, re.MULTILINE))
    assert {"results/pets/final.pt", "results/cifar10/comparison.parquet"} <= targets
    done = workspace.run(*sorted(targets), "--dry-run", "--quiet", "--config", "data_path=photos")
    assert done.returncode == 0, done.stderr
