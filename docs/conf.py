"""How Sphinx builds the documentation site: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path

import dna_pipelines

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "dna_pipelines"
author = "the dna_pipelines authors"
project_copyright = "the dna_pipelines authors; Apache-2.0"
version = release = dna_pipelines.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "cli_reference",
    "repository_links",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_extensions"]
nitpicky = False
# Docstrings write names between single backticks, and `--option` keeps its two hyphens.
default_role = "code"
smartquotes = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": False}
# Signatures read as they are written in the source.
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"dna_pipelines {version}"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
