"""The settings of one stage as a file. A script, since as part of a command they would fill the terminal."""

import sys
from pathlib import Path

from enas_core.files.atomic import write_text

sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)  # noqa: SIM115 (for as long as the script runs)
write_text(Path(snakemake.output[0]), snakemake.params.settings)
