"""The records of executions in Redis, and the scripts that change them. See :mod:`.keys` for the layout."""
