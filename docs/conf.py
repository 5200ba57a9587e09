"""How the documentation is built: `python3 noxfile.py -s docs`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from zdlife import __version__

project = "zdlife"
copyright = "the zdlife authors"  # noqa: A001  # Sphinx's name
release = version = __version__

extensions = ["myst_parser", "from_the_code", "from_docstrings"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = f"zdlife {__version__}"
html_show_sourcelink = False
html_show_copyright = False
