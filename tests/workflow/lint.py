"""`snakemake --lint`, which may say one thing alone; run by `make lint` and by a test.

Snakemake wishes for a conda environment or a container for each rule. There is none: every rule runs this project's own
package in the environment that Snakemake itself runs in, which `pip install` has made, torch for the machine's GPU
included. A container that names less than that would only look as if it worked.
"""

from __future__ import annotations

import re
import subprocess
import sys

ACCEPTED = "Specify a conda environment or container for each rule."


def main(arguments: list[str]) -> int:
    """Exit code 0 if Snakemake finds nothing but what is accepted. `arguments` are further ones for Snakemake."""
    command = [sys.executable, "-m", "snakemake", "--lint", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    findings = re.findall(r"^    \* (.+):$", done.stderr, re.MULTILINE)
    if done.returncode == 0 or (findings and set(findings) == {ACCEPTED}):
        return 0
    print(done.stderr, file=sys.stderr)
    print(f"error: findings other than {ACCEPTED!r}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
