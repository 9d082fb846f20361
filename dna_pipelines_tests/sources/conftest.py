"""Places with small files, and what is listed there."""

import io
import tarfile
import uuid

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dna_pipelines.config import DatasetConfig
from dna_pipelines.manifests import build_manifest, scan_source
from dna_pipelines.sources import open_source


@pytest.fixture
def png():
    """The bytes of image number `n`."""

    def encoded(number=0):
        pixels = np.random.default_rng(number).integers(0, 256, (5, 7, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "png")
        return buffer.getvalue()

    return encoded


@pytest.fixture
def make_files(tmp_path):
    """Write files below a folder of the test's own; contents default to the name."""

    def make(*names, under="folder"):
        for name in names:
            path = tmp_path / under / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        return tmp_path / under

    return make


@pytest.fixture
def source(tmp_path):
    """The source for a location."""

    def opened(uri, globs=(), exclude=(), **settings):
        return open_source(str(uri), base=tmp_path, globs=globs, exclude=exclude, **settings)

    return opened


@pytest.fixture
def paths(source):
    """The listed paths of a location, as text."""

    def listed(uri, globs=(), exclude=()):
        return [entry.path.decode() for entry in source(uri, globs, exclude).list().entries]

    return listed


@pytest.fixture
def manifest_of():
    """What a first scan of a source commits."""

    def built(opened, table=None, **settings):
        config = DatasetConfig(name="d", uri="somewhere", **settings)
        return build_manifest(scan_source(opened, config, lambda: None, 0), opened, config, metadata=table)

    return built


@pytest.fixture
def memory():
    """A prefix of its own on fsspec's memory file system: its URI, and how to write below it."""
    fs, prefix = fsspec.filesystem("memory"), f"/{uuid.uuid4().hex}"

    def write(name, data):
        fs.pipe(f"{prefix}/{name}", data)

    write.uri = f"memory:/{prefix}"
    write.fs, write.prefix = fs, prefix
    yield write
    if fs.exists(prefix):
        fs.rm(prefix, recursive=True)


@pytest.fixture
def tar_bytes():
    """A tar archive of members in order: bytes, or headers that say something else of themselves."""

    def packed(members, compression=""):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=f"w:{compression}", encoding="utf-8", errors="surrogateescape") as file:
            for name, data in members.items() if isinstance(members, dict) else members:
                if isinstance(name, tarfile.TarInfo):
                    file.addfile(name, io.BytesIO(data))
                    continue
                info = tarfile.TarInfo(name)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    return packed


@pytest.fixture
def parquet_bytes():
    """A Parquet file in the layout of Hugging Face's datasets, with more columns beside the images."""

    def written(images, rows_per_group=2, **columns):
        structs = [None if data is None else {"bytes": data, "path": f"{row}.png"} for row, data in enumerate(images)]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        buffer = io.BytesIO()
        table = pa.table({"image": pa.array(structs, kind), **columns})
        pq.write_table(table, buffer, row_group_size=rows_per_group)
        return buffer.getvalue()

    return written


@pytest.fixture
def archive(tmp_path, tar_bytes):
    """Write an archive of members in order, and return its path."""

    def write(members, compression="", name=None):
        path = tmp_path / (name or f"images.tar{'.' if compression else ''}{compression}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tar_bytes(members, compression))
        return path

    return write
