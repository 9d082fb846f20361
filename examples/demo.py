"""The demo: real images as datasets, their DNAs, and what a change of the images does to them. `make demo` runs it.

The images are the scanned handwritten digits that scikit-learn ships (UCI Optical Recognition of
Handwritten Digits) and photographs that scikit-learn and scikit-image ship, cut into tiles.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import skimage
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image, ImageFilter

ROOT = Path(__file__).resolve().parent.parent / "demo"
TILE_PX = 96
PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "retina.jpg",
    "rocket.jpg",
)


def main() -> None:
    """Write the images, run, change some, and run again."""
    started = time.monotonic()
    if ROOT.exists():
        shutil.rmtree(ROOT)
    say("Real images: 1,797 handwritten digits, and photographs in tiles")
    names = write_digits() + write_photographs()
    entries = [
        f"  - {{name: {name}, uri: images/{name}, tags: {{kind: {name.partition('-')[0]}}}}}\n" for name in names
    ]
    (ROOT / "data").mkdir()
    (ROOT / "data" / "datasets.yaml").write_text(DATASETS + "".join(entries), encoding="utf-8")
    print(f"  {len(names)} datasets in {ROOT.name}/data/datasets.yaml")

    say("The first run fingerprints every image")
    dna("run")

    say("How far apart are the datasets?")
    dna("matrix", "--picture", str(ROOT / "matrix.png"))

    say("Add 15 images, delete 10, rename 20, blur 90, break a file; run again")
    change_images()
    dna("run")

    say("Is the change of photo-coffee significant, and which images contribute to it?")
    dna("compare", "photo-coffee", "photo-coffee@-1", "--explain", "--picture", str(ROOT / "coffee.png"))
    dna("images", "photo-coffee", "photo-coffee@-1", "--top", "5", "--picture", str(ROOT / "images.png"))

    say("What changed in photo-hubble? The neurons of the second network have names")
    dna("compare", "photo-hubble@-1", "photo-hubble", "--extractor", "scattering", "--explain")

    say("Which two datasets of different kinds are closest? Every result is a table of SQL")
    dna("sql", " ".join(CLOSEST.split()))

    print(f"\nDone in {time.monotonic() - started:.0f} s. Pictures: demo/matrix.png, demo/images.png, demo/coffee.png.")
    print("To look around:")
    print("  make ui                                   Dagster's page for this project")
    print("  .venv/bin/dna --root demo status          (or compare, matrix, sql, scan, doctor)")


DATASETS = """\
version: 1
extractors:
  - name: builtin
  - name: scattering
datasets:
"""

CLOSEST = """
SELECT a.dataset AS a, b.dataset AS b, round(m.emd_bins, 2) AS emd_bins
FROM matrix m JOIN datasets a ON a.dataset = dataset_a JOIN datasets b ON b.dataset = dataset_b
WHERE a.tags['kind'] < b.tags['kind'] ORDER BY emd_bins LIMIT 3
"""


def write_digits() -> list[str]:
    """One dataset per digit, 8 x 8 pixels each."""
    digits = sklearn.datasets.load_digits()
    for index, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        save(np.rint(pixels * (255 / 16)).astype(np.uint8), f"digit-{digit}", f"{index:04d}.png")
    return [f"digit-{digit}" for digit in range(10)]


def write_photographs() -> list[str]:
    """One dataset per photograph, cut into tiles."""
    folder = Path(skimage.__file__).parent / "data"
    photographs = {Path(name).stem.partition("_")[0]: np.asarray(Image.open(folder / name)) for name in PHOTOGRAPHS}
    photographs |= {name: sklearn.datasets.load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    for name, photograph in photographs.items():
        height, width = photograph.shape[:2]
        for top in range(0, height - TILE_PX + 1, TILE_PX):
            for left in range(0, width - TILE_PX + 1, TILE_PX):
                tile = photograph[top : top + TILE_PX, left : left + TILE_PX]
                save(tile, f"photo-{name}", f"{top:04d}-{left:04d}.png")
    return [f"photo-{name}" for name in sorted(photographs)]


def change_images() -> None:
    """Add to one dataset, delete from another, rename in a third, blur a fourth, and leave a broken file."""
    images = ROOT / "images"
    for index, tile in enumerate(sorted((images / "photo-china").iterdir())[:15]):
        shutil.copy(tile, images / "photo-coffee" / f"stray-{index:02d}.png")
    for tile in sorted((images / "photo-astronaut").iterdir())[:10]:
        tile.unlink()
    for tile in sorted((images / "digit-3").iterdir())[:20]:
        tile.rename(tile.with_name(f"renamed-{tile.name}"))
    for tile in (images / "photo-hubble").iterdir():
        Image.open(tile).filter(ImageFilter.GaussianBlur(2)).save(tile)
    (images / "digit-7" / "broken.png").write_bytes(b"\x89PNG, but no picture")


def save(pixels: NDArray[np.uint8], dataset: str, name: str) -> None:
    """Write one image."""
    path = ROOT / "images" / dataset / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def dna(*arguments: str) -> None:
    """Run the `dna` command, as a user would."""
    relative = (argument.replace(f"{ROOT}/", "demo/") for argument in arguments)
    shown = (argument if " " not in argument else repr(argument) for argument in relative)
    print(f"$ dna {' '.join(shown)}", flush=True)
    command = [str(Path(sys.executable).with_name("dna")), "--root", str(ROOT), *arguments]
    subprocess.run(command, check=True)


def say(text: str) -> None:
    """A heading."""
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    main()
