"""Stage 1: images from any source as plain arrays, with a manifest that says what they are.

Writes into the output folder, for `train` and `test`, `{part}_images.npy` (uint8, [N, H, W, C]) and
`{part}_labels.npy` (int64, [N]), and `manifest.json` (see `prepare`). Equal input gives equal bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enas_core.data.prepare import prepare
from enas_core.files.inputs import Inputs
from enas_core.options import Parser, run_stage
from enas_core.settings.stages import PrepareDataSettings, load_stage_settings


def _stage(options: argparse.Namespace) -> None:
    inputs = Inputs(options.config)
    settings = load_stage_settings(options.config, PrepareDataSettings)
    prepare(settings, options.data_path, options.out_dir, options.download_dir, inputs=inputs)


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(
        "prepare_data",
        "Read the images of an experiment, check them, and write them as arrays (train_images.npy, train_labels.npy,"
        " test_images.npy, test_labels.npy) with a manifest.json of counts, classes, mean and standard deviation, and"
        " checksums.",
    )
    parser.add_settings("prepare_data")
    parser.add_argument(
        "--data-path",
        type=Path,
        metavar="DIR",
        help="folder of existing files. torchvision: cifar-10-batches-py or cifar-100-python, extracted, or its parent."
        " parquet: train.parquet and test.parquet, or train-*.parquet and test-*.parquet, in DIR or in its folder data,"
        " plain_text or one named as the dataset. digits: not used",
    )
    parser.add_argument(
        "--download-dir",
        type=Path,
        metavar="DIR",
        help="without --data-path, torchvision's files are downloaded to this folder (about 170 MB), and reused there",
    )
    parser.add_argument("--out-dir", type=Path, required=True, metavar="DIR", help="folder to write to")
    return run_stage(parser, _stage, arguments)


if __name__ == "__main__":
    sys.exit(main())
