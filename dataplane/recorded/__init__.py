"""What a recording is made of: blocks with checksums, and what stands in each kind of them."""
