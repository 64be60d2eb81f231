"""What explanations are made of: what each store and each operation of a side means, in words."""
