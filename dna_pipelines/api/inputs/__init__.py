"""Images as Python has them: paths, arrays, PIL images and datasets of other libraries."""
