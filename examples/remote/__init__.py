"""HTTP calls as remote actions: ``service.py`` is a service that makes them, ``run.py`` says how to start."""
