"""What tests of prepare_data share: the stage on tiny files."""

import contextlib
import hashlib
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from enas_core.prepare_data import main
from enas_core.settings.dataset import Source
from enas_core.settings.stages import PrepareDataStage, to_json

OUTPUTS = ["manifest.json", "test_images.npy", "test_labels.npy", "train_images.npy", "train_labels.npy"]


def stage_settings(name="cifar10", source="parquet", train=20, test=10, **other):
    values = {"name": name, "source": source, "max_train_images": train, "max_test_images": test, **other}
    return PrepareDataStage(experiment="tiny", dataset=Source(**values))


def run(folder, stage, *options):
    """main() on `stage`: exit code, the lines on stderr that are errors, and the output folder."""
    configfile, out_dir = folder / "settings.json", folder / "out"
    configfile.write_text(to_json(stage))
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        code = main(["--config", str(configfile), "--out-dir", str(out_dir), *map(str, options)])
    return (
        code,
        [line for line in stderr.getvalue().splitlines() if not line.startswith(("reading ", "downl"))],
        out_dir,
    )


def assert_refused(folder, stage, data_path, *words):
    """Exit code 2, one line that has all the words, and no output."""
    code, lines, out_dir = run(folder, stage, "--data-path", data_path)
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    for word in words:
        assert str(word) in lines[0]
    assert not out_dir.exists()


def load(out_dir):
    arrays = [np.load(out_dir / f"{part}_{what}.npy") for part in ("train", "test") for what in ("images", "labels")]
    return (*arrays, json.loads((out_dir / "manifest.json").read_text()))


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pixels(number, seed=0, size=32):
    return np.random.default_rng(seed).integers(0, 256, (number, size, size, 3), np.uint8)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def write_parquet(path, contents, labels, image="img", label="label", label_type=None):
    rows = [content if content is None else {"bytes": content, "path": "a/0.png"} for content in contents]
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({image: pa.array(rows, kind), label: pa.array(labels, label_type or pa.int64())}), path)
