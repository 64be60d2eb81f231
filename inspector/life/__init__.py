"""The life of one buffer: from free slots to free slots, with who waited for whom at each step.

Everything is read back from the history: the numbers of its events come from `History.moments`, what was
stored from the rows around them. What is not known is said, with why; what has not happened yet is open.
"""

from inspector.life.model import Detail, Life, Name, State, Step
from inspector.life.reading import event_near, frame_of, life_of

__all__ = ["Detail", "Life", "Name", "State", "Step", "event_near", "frame_of", "life_of"]
