"""Where images are listed and read: folders, index files, archives and tables, local or through fsspec.

This package lists files and reads bytes. Decoding, digests and the lake are not its task.
To add a kind of source, write a class with `list` and `read` in a module of its own and add it to `open_source`.

- `base`: the protocol `Source`, its `Entry` and `Listing`, and the `Selection` of files by globs.
- `opening`: from the URI of a dataset to its source, which `guarded` wraps.
- `folder`, `remote`, `index`, `zip`, `tar`, `table`: the sources.
- `files`, `file_patterns`: the files of an archive or table source; `listings_cache` keeps what they contain.
- `table_formats`, `table_columns`, `text_values`, `webdataset`: what tables and WebDataset shards say of images.
- `metadata`: the table beside a dataset; `image_folder`: tables among the images. `metadata_tables` and `delimited`
  read them.
- `names`: what files are called where a name may be written in several ways.
- `memory`, `temporary_files`: how much reading may take; `arrow_messages` tells it of Arrow's files beforehand.
- `retries`, `failures`, `web`: access to stores.
"""

from dna_pipelines.sources.base import Entry, Source
from dna_pipelines.sources.opening import open_source, require_present

__all__ = ["Entry", "Source", "open_source", "require_present"]
