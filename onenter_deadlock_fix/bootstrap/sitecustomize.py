# Imports the shim when livekit.agents is about to be imported, and runs the next sitecustomize on the path. Every
# interpreter that inherits PYTHONPATH compiles this file, so it is short, and valid for older ones, too.
import sys

modules = sys.modules
failed = False


def find_spec(name, *_):
    global failed
    if failed or "onenter_deadlock_fix" in modules or name == "onenter_deadlock_fix":
        return
    if name == "livekit.agents" or "livekit.agents" in modules:
        try:
            import onenter_deadlock_fix  # noqa: F401
        except ImportError as error:
            failed = True
            try:
                sys.stderr.write("onenter-deadlock-fix: not activated in %s: %r\n" % (sys.executable, error))
            except Exception:
                pass  # there is no stderr, or it is closed


this_module = modules[__name__]  # has find_spec, so it serves as a finder
if sys.version_info >= (3, 9):
    sys.meta_path.insert(0, this_module)
folder = __file__.rpartition("sitecustomize")[0][:-1]
if folder in sys.path:
    position = sys.path.index(folder)
    del sys.path[position], modules[__name__]
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if getattr(error, "name", __name__) != __name__:
            raise  # a sitecustomize exists, but one of its imports failed
    sys.path.insert(position, folder)  # processes that are started with this path need it too
    modules.setdefault(__name__, this_module)  # New Relic's sitecustomize runs this one and needs the entry
