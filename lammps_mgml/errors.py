"""The errors that users meet.  Each message names what is wrong, where, and the remedy."""


class MgmlError(Exception):
    """Base of all errors raised on purpose."""


class InputError(MgmlError, ValueError):
    """Positions, types, cells or files that cannot be used as they are."""


class GhostRangeError(MgmlError, RuntimeError):
    """LAMMPS communicates ghost atoms over too short a distance for exact cells."""


class ModelError(MgmlError, ValueError):
    """A model file that is damaged, unknown or does not fit the system."""


class OptionError(MgmlError, ValueError):
    """A deck variable or argument with an unknown name or a wrong value."""


class RemoteError(MgmlError, RuntimeError):
    """An error that one rank met, raised on all so that none waits for it."""
