"""Sphinx's settings. `make docs` builds strictly: a link or a reference that leads nowhere ends it."""

from __future__ import annotations

import sys
from pathlib import Path

from workflow_state import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extension"))

project = "workflow-state"
author = "the authors of workflow-state"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "public_names"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_extension"]

# Pages are read on the code's own site, too: plain Markdown, with the anchors that are made there.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

# What a docstring names has to be there; what is of other projects is not looked for, since that needs a network.
nitpicky = True
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"workflow-state {version}"
# No font, script or style of this site comes from another one.
html_theme_options = {"navigation_with_keys": True}
html_copy_source = False
html_show_sphinx = False
