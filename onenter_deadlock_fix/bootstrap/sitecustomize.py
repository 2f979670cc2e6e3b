# Activates the shim, then runs the sitecustomize that would have been found without this folder on PYTHONPATH.
# Every interpreter that inherits PYTHONPATH reads this file, so its syntax must be valid for older ones too.
import os
import sys


def activate():
    if sys.version_info < (3, 9):
        return
    try:
        import onenter_deadlock_fix  # noqa: F401
    except Exception as error:
        # an interpreter of another environment, which does not have it
        absent = isinstance(error, ModuleNotFoundError) and error.name == "onenter_deadlock_fix"
        if not absent and sys.stderr is not None:
            reason = " ".join(str(error).split())
            sys.stderr.write("onenter-deadlock-fix: not activated: %s: %s\n" % (type(error).__name__, reason))


def run_next():
    here = os.path.dirname(os.path.abspath(__file__))
    entries = [os.path.abspath(entry) for entry in sys.path]
    if here not in entries:
        return
    position = entries.index(here)
    entry = sys.path.pop(position)
    ours = sys.modules.pop(__name__)
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        sys.modules[__name__] = ours
        if getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise
    finally:
        sys.path.insert(position, entry)  # processes that are started with this path need it too


activate()
run_next()
