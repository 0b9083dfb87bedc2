"""Says, as one line of JSON, what this interpreter needs to read.

Run once, outside the jail, with ``-I -S``: ``sys.path`` is the standard library alone then.
"""

import contextlib
import importlib
import json
import os
import sys


def shared_objects(library):
    """Load every extension module of the standard library and return the libraries that came with them."""
    for folder in library:
        if os.path.basename(folder) != "lib-dynload":
            continue
        for file in sorted(os.listdir(folder)):
            name = file.partition(".")[0]
            if file.endswith(".so") and "test" not in name:
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        paths = {line.split(None, 5)[5].strip() for line in maps if ".so" in line}
    return sorted(path for path in paths if os.path.isfile(path))


def coverage_folder():
    """Return the folder that coverage.py is imported from, or None."""
    import site

    site.main()
    try:
        import coverage
    except Exception:  # a broken installation is none
        return None
    return os.path.dirname(os.path.dirname(os.path.realpath(coverage.__file__)))


def main():
    """Print the answer."""
    library = [os.path.realpath(path) for path in sys.path if path and os.path.exists(path)]
    print(
        "\n"
        + json.dumps(
            {
                "version": sys.version_info[:2],
                "executable": os.path.realpath(sys.executable),
                "library": library,
                "shared_objects": shared_objects(library),
                "coverage": coverage_folder(),
            }
        )
    )


main()
