"""virtio rings: run them, watch them, explain them.

Nothing in this package knows of a terminal, of scapy, or of the app.
Section numbers are those of the Virtual I/O Device specification, version 1.3.
"""
