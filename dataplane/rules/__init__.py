"""The doctor: what is wrong with a queue, why, and where the spec says so. Needs no UI and no engine."""
