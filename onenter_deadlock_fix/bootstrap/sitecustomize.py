# Imports the shim when livekit.agents is about to be imported, and then runs the sitecustomize that Python would find
# without this folder on PYTHONPATH. Every interpreter that inherits PYTHONPATH reads this file, so its syntax must be
# valid for older ones too. Without a byte-code cache each of them compiles it, so it is short.
import sys

failed = False


def find_spec(name, path=None, target=None):
    global failed
    if failed or name.startswith("onenter_deadlock_fix") or "onenter_deadlock_fix" in sys.modules:
        return
    if name == "livekit.agents" or "livekit.agents" in sys.modules:
        try:
            import onenter_deadlock_fix  # noqa: F401
        except ImportError as error:
            failed = True
            try:
                sys.stderr.write("onenter-deadlock-fix: not activated in %s: %r\n" % (sys.executable, error))
            except Exception:
                pass  # there is no stderr, or it is closed


this_module = sys.modules[__name__]  # has find_spec, so it serves as a finder
if sys.version_info >= (3, 9):
    sys.meta_path.insert(0, this_module)
folder = __file__.rpartition("sitecustomize")[0][:-1]
if folder in sys.path:
    position = sys.path.index(folder)
    del sys.path[position], sys.modules[__name__]
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if getattr(error, "name", __name__) != __name__:
            raise  # a sitecustomize exists, but one of its imports failed
    finally:
        sys.path.insert(position, folder)  # processes that are started with this path need it too
        sys.modules.setdefault(__name__, this_module)  # New Relic's sitecustomize runs this one and needs the entry
