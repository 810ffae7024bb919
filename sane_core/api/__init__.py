"""A trained SANE in hand: load it, embed and reconstruct networks, share it."""
