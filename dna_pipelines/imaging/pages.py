"""Files of several images: the pages of a TIFF, and the frames of an animation."""

from __future__ import annotations

from PIL import Image, TiffImagePlugin

from dna_pipelines.errors import Unreadable
from dna_pipelines.imaging.tiff import index_of_page, pages_of

MOST_PAGES = 1000
"""The most pages or frames of a file that are read one by one: to each leads a walk over those before it."""

ANIMATED = ("AVIF", "GIF", "PNG", "WEBP")
"""The formats whose further frames are images like the first; those of a phone's JPEG (MPO) are depths and previews."""


def count_pages(image: Image.Image, data: bytes) -> int:
    """How many pages or frames an opened file has.

    Raises:
        Unreadable: `too large` for more than `MOST_PAGES`.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return count_tiff_pages(data)
    return _limited(getattr(image, "n_frames", 1) if image.format in ANIMATED else 1)


def count_tiff_pages(data: bytes) -> int:
    """Like `count_pages`, for a TIFF that Pillow may not open."""
    return _limited(max(len(pages_of(data, MOST_PAGES + 1)), 1))


def _limited(n_pages: int) -> int:
    if n_pages > MOST_PAGES:
        raise Unreadable(
            "too large",
            f"more than {MOST_PAGES:,} pages or frames; divide the file, or write `pages: first`",
            limit=MOST_PAGES,
        )
    return n_pages


def further_pages(image: Image.Image, data: bytes) -> str:
    """The pages or frames of an opened file, in words; "" where it has one."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return pages_in_words(data)
    # How many frames there are takes a walk over all of them.
    return "several frames" if image.format in ANIMATED and getattr(image, "is_animated", False) else ""


def pages_in_words(data: bytes) -> str:
    """Like `further_pages`, for a TIFF that Pillow may not open."""
    n_pages = len(pages_of(data, MOST_PAGES + 1))
    if n_pages < 2:
        return ""
    return f"{n_pages} pages" if n_pages <= MOST_PAGES else f"more than {MOST_PAGES:,} pages"


def turn_to(image: Image.Image, data: bytes, page: int) -> None:
    """Make an opened file show one of its pages, counted from 1.

    Raises:
        Unreadable: `truncated` where there is none.
    """
    is_tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    try:
        image.seek(index_of_page(data, page) if is_tiff else page - 1)
    except EOFError as error:
        raise Unreadable("truncated", f"it has no page or frame {page}", page=page) from error
