# Activates the shim when somebody looks for livekit.agents, and runs the sitecustomize that would have been found
# without this folder on PYTHONPATH. Every interpreter that inherits PYTHONPATH reads this file, so its syntax must be
# valid for older ones too. Where no byte code is written each of them compiles it, so it is short.
import sys


def find_spec(name, path=None, target=None):
    if name == "livekit.agents":
        sys.meta_path.remove(ours)
        try:
            from onenter_deadlock_fix import _import_hook

            return _import_hook.find_spec(name, path, target)
        except Exception as error:
            # an interpreter of another environment does not have it
            if str(error) != "No module named 'onenter_deadlock_fix'" and sys.stderr:
                sys.stderr.write("onenter-deadlock-fix: not activated: %r\n" % error)


ours = sys.modules[__name__]  # is a finder itself
if sys.version_info >= (3, 9):
    sys.meta_path.insert(0, ours)
here = __file__.rpartition("sitecustomize")[0][:-1]
if here in sys.path:
    position = sys.path.index(here)
    del sys.path[position], sys.modules[__name__]
    try:
        import sitecustomize  # noqa: F401  # where there is none, its ImportError is what is expected of us, too
    finally:
        sys.path.insert(position, here)  # processes that are started with this path need it too
