"""A small project with planted images."""

import io

import pytest
from PIL import Image

from dna_pipelines_tests.toy import bring_up_to_date, toy_project

N_IMAGES, PLANTED = 40, (3, 11, 24, 38)
NIGHT = {f"{number:03d}.png" for number in PLANTED}


def odd_image(number):
    """An image unlike the noise of the others."""
    buffer = io.BytesIO()
    Image.new("RGB", (6, 6), (255, 255 - number, 0)).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """`a` has four odd images among forty, `b` has none; `a` fills four shards of ten."""
    root = tmp_path_factory.mktemp("made")
    a = {f"{number:03d}.png": number for number in range(N_IMAGES)}
    b = {f"{number:03d}.png": 1000 + number for number in range(N_IMAGES)}
    settings = "shard_size: 10\nmetadata: {uri: table.csv}"
    project = toy_project(root, {"a": a, "b": b}, settings, "calibrate_on: [a, b]")
    for number in PLANTED:
        (root / "images" / "a" / f"{number:03d}.png").write_bytes(odd_image(number))
    lines = [f"{name},{'night' if name in NIGHT else 'day'}\n" for name in a]
    (root / "table.csv").write_text("path,light\n" + "".join(lines))
    bring_up_to_date(project)
    return root
