"""How a value shows itself as HTML: functions of a value, to which who knows how registers.

The models are below everything, and what draws them, with its layout, its redaction and its compiler, is above. So
a model that has ``to_html()`` asks here, and the drawing registers itself here when the package is imported.
"""

from __future__ import annotations

from functools import singledispatch


@singledispatch
def page(value: object) -> str:
    """A whole HTML file about a value.

    Raises:
        TypeError: nothing is registered for values of this type.
    """
    raise TypeError(f"nothing is registered that makes a page of a {type(value).__name__}")


@singledispatch
def snippet(value: object) -> str:
    """A small piece of HTML about a value, for a notebook.

    Raises:
        TypeError: nothing is registered for values of this type.
    """
    raise TypeError(f"nothing is registered that makes a snippet of a {type(value).__name__}")
