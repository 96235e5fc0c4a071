"""Search: what matches a text, ordered by how well it does and by who asks."""
