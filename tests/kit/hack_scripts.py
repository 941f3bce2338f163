"""The scripts of hack/ as modules, so that a test calls their functions."""

import importlib.util
from importlib.machinery import SourceFileLoader
from types import ModuleType

from kit import paths


def load(name: str) -> ModuleType:
    """Return the script `hack/NAME`, loaded anew."""
    loader = SourceFileLoader(f"hack_{name.replace('-', '_')}", str(paths.SCRIPTS / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
