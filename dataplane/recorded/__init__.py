"""What recordings are made of, and who writes them: blocks with checksums, and what stands in each."""
