"""What an interval of a difference says, in a word."""


def verdict(low: float, high: float) -> str:
    """Return above or below where the interval excludes 0, else undecided."""
    if low > 0:
        return "above"
    return "below" if high < 0 else "undecided"
