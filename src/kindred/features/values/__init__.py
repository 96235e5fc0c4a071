"""The values of features at any moment: pure functions of folded records and the catalogue's columns."""
