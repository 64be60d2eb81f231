"""How a frame is taken apart: the process, layers, names, checksums. `capture.dissect` asks for it."""
