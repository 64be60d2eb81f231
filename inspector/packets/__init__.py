"""The panes of the packets screen: the list, the fields of one packet, its bytes."""
