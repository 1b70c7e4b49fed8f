"""Who may watch the engine: metrics for Prometheus and traces for OpenTelemetry, each in an extra of its own.

Nothing imports these modules; ``runtime.observers`` loads one by its name when its setting is on.
"""
