"""Wireshark's door: interfaces of its own for pairs and for sessions that run."""
