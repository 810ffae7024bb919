"""Errors that a user meets: one sentence that names the thing and the remedy, and an exit code."""


class SaneError(Exception):
    """Something went wrong that the message explains; the command line exits with `exit_code`."""

    exit_code = 1


class UserError(SaneError):
    """The request itself cannot be carried out as written (configuration, paths, permissions)."""

    exit_code = 2


class ConfigError(UserError):
    """A configuration file, a key or a value is not valid."""


class StoreError(UserError):
    """The store cannot be written or read where the configuration says."""


class DiskFull(SaneError):
    """The storage ran out of space; nothing half-written was committed."""


class DamagedArtifact(SaneError):
    """A file of a committed artifact is missing or differs from its manifest."""


class DamagedWindows(DamagedArtifact):
    """A compiled window set (`.beton`) is truncated, altered or was built by another schema."""
