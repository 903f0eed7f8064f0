"""Verification: embeddings of pairs, and the protocol that scores them."""
