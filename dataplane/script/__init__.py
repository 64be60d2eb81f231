"""The parts of a scenario: where its keys stand, its steps, its expectations, its frames, and playing it."""
