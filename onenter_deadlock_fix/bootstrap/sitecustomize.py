# Imports the shim when livekit.agents is about to be imported, and runs the next sitecustomize on the path. Short, and
# valid for older Pythons, because every interpreter that inherits PYTHONPATH compiles it.
import sys

modules = sys.modules
failed = False


def find_spec(name, *_, **__):
    global failed
    if failed or "onenter_deadlock_fix" in modules or name == "onenter_deadlock_fix":
        pass
    elif name == "livekit.agents" or "livekit.agents" in modules:
        try:
            import onenter_deadlock_fix
        except ImportError as error:
            failed = True
            try:
                sys.stderr.write("onenter-deadlock-fix: not activated in %s: %r\n" % (sys.executable, error))
            except:
                pass  # there is no stderr, or it is closed


this_module = modules[__name__]  # it has find_spec
if sys.version_info >= (3, 9):
    sys.meta_path.insert(0, this_module)
folder = __file__.rpartition("sitecustomize")[0][:-1]
if folder in sys.path:
    position = sys.path.index(folder)
    del sys.path[position], modules[__name__]
    try:
        import sitecustomize
    except ImportError as error:
        if getattr(error, "name", __name__) != __name__:
            raise  # it exists, but one of its imports failed
    finally:
        sys.path.insert(position, folder)  # child processes need it
    modules.setdefault(__name__, this_module)  # New Relic's sitecustomize runs this one
