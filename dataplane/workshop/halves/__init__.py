"""Skeletons and solutions, as a learner has them before the eyes: texts, never imported."""
