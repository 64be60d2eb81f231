"""What is known of every code: data, family by family."""
