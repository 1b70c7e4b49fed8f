"""What the engine costs, measured against raw Celery tasks on the same worker in the same run.

``python -m benchmarks`` runs it (``make bench``); docs/performance.md says how each figure is measured.
"""
