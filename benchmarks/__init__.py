"""Measurements. Each case prints one JSON line; nothing here asserts a time."""
