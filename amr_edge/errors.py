"""The exceptions of amr-edge, and the exit codes of its commands.

```
AmrError
├── CheckFailedError  1  a check failed: parity, a gate, a floor
├── ConfigError       2  an option or setting that cannot mean anything
├── MissingError      3  a package, model or device is not here
└── DataError         4  a recording, store or model file is damaged, foreign or contradicts its partner
    ├── LayoutError      joints that do not fit
    ├── ClipError        an array of the wrong shape or content
    ├── ReadError        a file that cannot be read as what it claims to be
    └── CardError        a model file without its contract, or with a broken one
```

Every message is one sentence: what was expected, what came, where, and the way out.
"""


class AmrError(Exception):
    """Base class: any error that amr-edge reports in one sentence."""

    exit_code = 1


class CheckFailedError(AmrError):
    """A requested check failed."""

    exit_code = 1


class ConfigError(AmrError):
    """A setting that cannot mean anything."""

    exit_code = 2


class MissingError(AmrError):
    """A package, a model file or a device that the command needs is not here."""

    exit_code = 3


class DataError(AmrError):
    """An input is damaged, of a foreign kind, or contradicts another input."""

    exit_code = 4


class LayoutError(DataError):
    """Joints that do not fit their stated skeleton."""


class ClipError(DataError):
    """An array of poses with the wrong shape or content."""


class ReadError(DataError):
    """A file that cannot be read as what it claims to be."""


class CardError(DataError):
    """A model file without its contract, or with a broken one."""
