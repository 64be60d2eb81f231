"""The past on the screens: moments of it, the way there and back, and what there is to find."""
