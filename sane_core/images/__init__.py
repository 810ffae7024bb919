"""Image data: read from the formats it is published in, split by seed, stored memory-mapped."""
