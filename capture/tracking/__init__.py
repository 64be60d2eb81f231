"""What is remembered of connections from frame to frame, for conversations, streams and expert notes."""
