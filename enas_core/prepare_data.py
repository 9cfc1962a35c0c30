"""Command `prepare_data`: images from any source as plain arrays, with a manifest that says what they are.

Reads the settings of the stage and the files of the source; writes into the output folder, for `train` and `test`,
`{part}_images.npy` (uint8, [N, H, W, C]) and `{part}_labels.npy` (int64, [N]), and `manifest.json` (see
`data.prepare`). Equal input gives equal bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from enas_core.data.manifest import MANIFEST
from enas_core.files.inputs import Inputs
from enas_core.files.lock import only_writer
from enas_core.options import ConfigFile, run_command
from enas_core.settings.stages import PrepareDataStage, read_stage


def prepare_data(
    *,
    config: ConfigFile,
    data_path: Annotated[
        Path | None,
        Parameter(
            help="folder of existing files. torchvision: cifar-10-batches-py or cifar-100-python, extracted, or its"
            " parent. parquet: train.parquet and test.parquet, or train-*.parquet and test-*.parquet, in this folder or"
            " in its folder data, plain_text or one named as the dataset. folder: the folder of train, test and valid."
            " digits: not used"
        ),
    ] = None,
    download_dir: Annotated[
        Path | None,
        Parameter(
            help="without --data-path, torchvision's files are downloaded to this folder (about 170 MB), and reused"
            " there"
        ),
    ] = None,
    out_dir: Annotated[Path, Parameter(help="folder to write to")],
) -> None:
    """Read the images of an experiment, check them, and write them as arrays with a manifest.

    The arrays are train_images.npy, train_labels.npy, test_images.npy and test_labels.npy; manifest.json holds counts,
    classes, mean and standard deviation, and checksums.

    Example: enas prepare-data --config config/prepare_data.json --data-path photos --out-dir data
    """
    inputs = Inputs(config)
    settings = read_stage(config, PrepareDataStage)

    from enas_core.data.prepare import prepare

    with only_writer(out_dir / MANIFEST):
        prepare(settings, data_path, out_dir, download_dir, inputs=inputs)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    return run_command(prepare_data, arguments)


if __name__ == "__main__":
    sys.exit(main())
