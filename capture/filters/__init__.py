"""What the two filter languages are made of: `capture.dfilter` and `capture.bpf` are their faces."""
