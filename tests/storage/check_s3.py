"""The whole DAG with data and results in an S3 bucket, of a local server: make test-storage."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer

from enas_core.files.schemas import BY_MACHINE

ROOT = Path(__file__).parents[2]
TARGETS = ["results/tiny/final.pt", "results/tiny/comparison.parquet"]
TABLES = [
    "search/s1/epochs.parquet",
    "networks/searched-s1/seed1/epochs.parquet",
    "networks/random-00/seed1/epochs.parquet",
]
BUCKET = "enas"


def snakemake(folder, *arguments):
    """Run the tiny experiment; returns the names of the rules that ran."""
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests/configs/tiny.yaml", folder)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "-d", str(folder)]
    command += ["--configfile", str(folder / "tiny.yaml"), "--cores", "2", *arguments, "--", *TARGETS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return re.findall(r"^\s*(?:local)?rule (\w+):", done.stdout + done.stderr, re.MULTILINE)


@pytest.fixture
def endpoint(monkeypatch):
    """Address of an S3 server with an empty bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.setenv(f"SNAKEMAKE_STORAGE_S3_{name}", "test")
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=address, region_name="us-east-1").create_bucket(Bucket=BUCKET)
    yield address
    server.stop()


def test_data_and_results_in_a_bucket(endpoint, tmp_path):
    storage = ["--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{BUCKET}"]
    storage += ["--storage-s3-endpoint-url", endpoint]
    assert "augment" in snakemake(tmp_path / "bucket", *storage)
    assert not list((tmp_path / "bucket").glob("results/tiny/*.p*"))
    snakemake(tmp_path / "local")
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    for name in TABLES:
        client.download_file(BUCKET, f"results/tiny/{name}", str(tmp_path / "table"))
        found, expected = (
            pd.read_parquet(path) for path in (tmp_path / "table", tmp_path / "local/results/tiny" / name)
        )
        pd.testing.assert_frame_equal(
            *(t.drop(columns=list(BY_MACHINE), errors="ignore") for t in (found, expected)), check_exact=True
        )
    # A working folder that knows nothing of the first one finds everything done.
    assert snakemake(tmp_path / "another", *storage) == []
