"""OpenTelemetry: spans at store borders and operations."""
