"""The documentation site: `make site` builds it from docs/ and the public docstrings."""

from importlib import metadata

project = "pareto-study"
release = metadata.version("pareto-study")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_show_copyright = False
html_title = f"pareto-study {release}"

myst_heading_anchors = 3

default_role = "literal"  # a single backtick in a docstring is code, as in Markdown
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
add_module_names = False
