"""Ports on plain files, LMDB and faiss: several processes on one machine share them."""
