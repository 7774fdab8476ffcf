"""launchpad starts model servers and training jobs from one YAML file."""

__version__ = "0.1.0"
__all__ = ["AsyncStack", "Stack", "StackError", "__version__"]

TYPE_CHECKING = False  # as in `typing`, whose import costs more than all that is needed to say the version
if TYPE_CHECKING:
    from launchpad.library import AsyncStack, Stack, StackError
else:

    def __getattr__(name):
        """What the library offers is imported when it is asked for."""
        if name in ("AsyncStack", "Stack", "StackError"):
            from launchpad import library

            return getattr(library, name)
        raise AttributeError(f"module 'launchpad' has no attribute {name!r}")
