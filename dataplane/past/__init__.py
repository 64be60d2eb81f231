"""What a history is made of: pieces in their order, what each tells at a glance, and ways to and fro."""
