"""What the item table is made of."""
