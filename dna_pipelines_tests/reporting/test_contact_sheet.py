"""Contact sheets show every image where it belongs, and say what is missing."""

import io

import numpy as np
from PIL import Image

from dna_pipelines.reporting.contact_sheet import EDGE_PX, Column, Tile, contact_sheet

RED, BLUE = (220, 10, 10), (10, 10, 220)


def plain(colour, shape=(200, 300)):
    return np.full((*shape, 3), colour, np.uint8)


def pixels_of(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def n_of(sheet, colour):
    return int((sheet == colour).all(axis=2).sum())


def test_images_are_shown_to_scale_in_their_columns():
    left = Column("left", [Tile(plain(RED), ("a.png",))])
    right = Column("right", [Tile(plain(BLUE), ("b.png", "2 bits")), Tile(plain(BLUE), ("c.png",))])
    sheet = pixels_of(contact_sheet("title", [left, right]))
    height = round(EDGE_PX * 2 / 3)
    assert n_of(sheet, RED) == EDGE_PX * height
    assert n_of(sheet, BLUE) == 2 * EDGE_PX * height
    reds, blues = (np.nonzero((sheet == colour).all(axis=2))[1] for colour in (RED, BLUE))
    assert reds.max() < blues.min()


def test_small_images_are_enlarged_by_whole_numbers():
    sheet = pixels_of(contact_sheet("", [Column("", [Tile(plain(RED, (10, 10)), ())])]))
    assert n_of(sheet, RED) == (EDGE_PX // 10 * 10) ** 2


def test_a_missing_image_has_its_reason_and_no_picture():
    missing = pixels_of(contact_sheet("", [Column("", [Tile(None, ("x.png",), "it vanished")])]))
    silent = pixels_of(contact_sheet("", [Column("", [Tile(None, ("x.png",), "")])]))
    assert missing.shape == silent.shape
    assert (missing != silent).any()


def test_an_empty_sheet_is_a_picture():
    assert pixels_of(contact_sheet("nothing", [])).shape[2] == 3


def test_letters_that_no_font_has_are_replaced():
    name = "a\u2029b\n\udcff\x00.png"
    sheet = pixels_of(contact_sheet(name, [Column(name, [Tile(None, (name,), name)])]))
    assert (sheet != pixels_of(contact_sheet("", [Column("", [Tile(None, ("",), "")])]))[:1, :1]).any()
