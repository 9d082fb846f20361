"""Animated WebP whose frames leave a part of the canvas free."""

from __future__ import annotations

from PIL import Image, WebPImagePlugin


def show_free_canvas(image: Image.Image) -> bool:
    """Make what no frame covers transparent, as browsers do, and return whether there is any.

    The header announces transparency for that of frames only, and without it Pillow takes free canvas for black. (The
    decoder below it gives alpha in both cases.)
    """
    if not isinstance(image, WebPImagePlugin.WebPImageFile) or image.n_frames == 1 or image.mode != "RGB":
        return False
    image._mode = image.rawmode = "RGBA"  # noqa: SLF001
    return image.getchannel("A").getextrema()[0] != 255
