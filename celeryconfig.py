"""Celery settings of this project: the durable defaults, each explained in workflow_state/durable.py.

Celery reads this file from the working directory. Change what you need below the import.
"""

from workflow_state.durable import *  # noqa: F403 - a configuration module is its names

# The library's own settings; see workflow_state/settings.py for all of them and their units.
workflow_state: dict[str, object] = {"lease": 30.0}
