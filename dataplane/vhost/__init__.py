"""vhost-user: rings of other processes. The slow path, in Python; memory, rings and eventfds are the
engine's."""
