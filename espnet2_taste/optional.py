"""Optional packages: imported where they are used, named clearly when absent.

Enters: the name of a Python module and what it is wanted for. Leaves: the module,
or one ``RuntimeError`` line with the feature and the install command.
"""

import importlib
from types import ModuleType


def require(module: str, feature: str, extra: str) -> ModuleType:
    """Import an optional module.

    Args:
        module: Import name, e.g. ``"onnxruntime"``.
        feature: What the user asked for, in words, e.g. ``"S3 speech units"``.
        extra: The extra of this package that installs it, e.g. ``"onnx"``.

    Returns:
        The imported module.

    Raises:
        RuntimeError: The module is not installed.

    Example:
        >>> require("math", feature="arithmetic", extra="none").sqrt(4.0)
        2.0
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RuntimeError(
            f"{feature} needs the Python module '{module}', which cannot be imported "
            f"({error}). Install it with: pip install 'espnet2_taste[{extra}]'"
        ) from error
