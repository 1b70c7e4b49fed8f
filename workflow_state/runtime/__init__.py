"""The engine on Celery: Program → canvas → tasks → records."""
