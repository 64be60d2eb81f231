"""What a history is made of: the order of events, pieces of them, images, and ways to and fro."""
