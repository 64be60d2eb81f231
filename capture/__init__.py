"""Plain frames: keep, list, dissect, save.

Nothing in this package knows of rings or of a terminal. A frame carries where it came from as two
numbers, `Frame.origin`, and that is all that ties it to a queue.
"""
