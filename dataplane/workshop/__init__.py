"""The workshop: somebody writes one half of a ring in Python, and it runs against the other half, ours.

`judging.run` takes the text of a half and judges every load and store it makes by rules written from the
specification, not by comparison with one blessed sequence: several orders are right. The text runs in a
process of its own (`child`, started by `process`), which has no way to hang or to fill this one.

This module stays empty: the process of the learner imports the package for `ring` alone.
"""
