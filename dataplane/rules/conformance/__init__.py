"""What the spec asks of both sides, row by row, held against a journal of their stores."""
