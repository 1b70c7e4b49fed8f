"""A small shop that runs its orders as plans: an app, actions, a plan, and ``run.py``, which says how to start it."""
