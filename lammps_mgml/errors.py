"""The errors that users meet.  Each message names what is wrong, where, and the remedy."""


class MgmlError(Exception):
    """Base of all errors raised on purpose."""

    on_all_ranks = False         # whether every rank raises it (``Domain.raise_on_all``)


class InputError(MgmlError, ValueError):
    """Positions, types, cells or files that cannot be used as they are."""


class InternalError(MgmlError, RuntimeError):
    """A check of our own that failed: a fault of this program, not of its input."""


class ModelError(MgmlError, ValueError):
    """A model file that is damaged, unknown or does not fit the system."""


class OptionError(MgmlError, ValueError):
    """A deck variable or argument with an unknown name or a wrong value."""


class MissingInputError(OptionError):
    """Features take more than a structure, and it is not there.  needs : its name, as "load"."""

    def __init__(self, needs: str, message: str) -> None:
        super().__init__(needs, message)
        self.needs = needs

    def __str__(self) -> str:
        return str(self.args[1])


class RemoteError(MgmlError, RuntimeError):
    """An error that one rank met, raised on all so that none waits for it."""
