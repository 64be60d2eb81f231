"""Capture files beyond their formats: opened, in several parts, around a moment, whole whatever happens."""
