"""Driving and stopping a source from the screens: freeze, steps in words, breakpoints."""
