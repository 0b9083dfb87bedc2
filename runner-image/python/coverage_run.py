"""Runs a function over inputs in a jailed interpreter and counts the statements that were executed.

Reads one JSON object, up to the end of the connection at descriptor 3, and writes one. Data stay in memory.
"""

import io
import json
import sys
from posix import read, write

SOCKET = 3
#: A name that coverage.py takes for that of a real file; there is none.
FILE_NAME = "/step.py"


class Nowhere(io.RawIOBase):
    """Swallows what the function prints."""

    def writable(self):
        """Say that this can be written to."""
        return True

    def write(self, data):
        """Accept all of it."""
        return len(data)


def receive():
    """Return the request."""
    whole = bytearray()
    while chunk := read(SOCKET, 1 << 20):
        whole += chunk
    return json.loads(whole)


def execute(code, inputs):
    """Load the function and call it, whatever comes of it."""
    module = type(sys)("step")
    sys.modules["step"] = module
    try:
        exec(code, module.__dict__)
        run = module.run
    except BaseException:
        return
    for value in inputs:
        try:
            run(value)
        except BaseException:
            continue


def measure(source, inputs):
    """Return how many statements there are and how many were executed."""
    import coverage
    from coverage.parser import PythonParser

    code = compile(source, FILE_NAME, "exec", dont_inherit=True)
    measuring = coverage.Coverage(data_file=None, config_file=False, include=[FILE_NAME])
    measuring.start()
    try:
        execute(code, inputs)
    finally:
        measuring.stop()
    executed = measuring.get_data().lines(FILE_NAME) or ()
    # Without exclusions: a function does not decide for itself what counts.
    parser = PythonParser(text=source, filename=FILE_NAME)
    parser.parse_source()
    return len(parser.statements), len(parser.translate_lines(executed) & parser.statements)


def main():
    """Answer the request."""
    request = receive()
    sys.path.append(request["folder"])
    own = sys.stderr
    sys.stdout = sys.stderr = io.TextIOWrapper(Nowhere(), "utf-8", "backslashreplace", write_through=True)
    try:
        statements, executed = measure(request["source"], request["inputs"])
    finally:
        # For the supervisor's log.
        sys.stderr = own
    write(SOCKET, json.dumps({"statements": statements, "executed": executed}).encode())


main()
