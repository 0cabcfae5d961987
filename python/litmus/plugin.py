# SPDX-License-Identifier: Apache-2.0
"""The entry point of the pytest plugin, which is in _plugin.py.

pytest rewrites the assertions of each module of a plugin that is imported in the common way: it parses and compiles it, anew in every
process where it may not write its cache. So this one is short, and stands aside for one that is not.
"""

import sys


def load(*names: str):
    """Imports modules of this package, and returns the last of them.

    There is nothing to rewrite in ours, so they come by Python's own way, from the bytecode that was installed.
    """
    import importlib
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    import litmus

    module = None
    for name in names:
        full = "litmus." + name
        module = sys.modules.get(full)
        if module is not None:
            continue
        spec = PathFinder.find_spec(full, litmus.__path__)
        if spec is None or spec.loader is None:  # an editable installation has a finder of its own
            module = importlib.import_module(full)
            continue
        module = sys.modules[full] = module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[full]
            raise
        setattr(litmus, name, module)
    return module


sys.modules[__name__] = load("_plugin")
