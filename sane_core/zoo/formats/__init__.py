"""Files as others wrote them: read as data, checked before anything is allocated, never run."""
