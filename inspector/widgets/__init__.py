"""What is drawn of a ring: pure functions from a snapshot to lines, each in a thin widget."""
