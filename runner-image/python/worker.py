"""Runs in a jailed interpreter and answers calls of one function until the supervisor closes the connection.

A request is ``length (4 bytes) id (8 bytes) body``, a reply ``length id kind (1 byte) body``,
little-endian, on descriptor 3. The first request carries the limits and the source; all others
carry an input as JSON.

The function runs in the same interpreter and may replace whatever it finds there: ``json.dumps``,
``len``, ``sys.stdout``. So this code is started with builtins of its own and imports what it needs
beforehand. That keeps accidents from breaking the connection; the supervisor trusts nothing that
comes from here.
"""

import _json
import gc
import io
import sys
from posix import _exit, read, write

SOCKET = 3
READ_AT_ONCE = 1 << 16
RESULT, RESULT_AND_PRINT, FAILURE = b"\0", b"\1", b"\2"
FILE_NAME, MODULE_NAME = "<step>", "step"
LONGEST_MESSAGE = 4096
LONGEST_TAIL = 2048
FRAMES_SHOWN = 8
#: The exit code that says that a request did not fit into memory.
NO_MEMORY = 71
#: The exit code that says that the connection is no longer what it was.
NO_CONNECTION = 72


class TooMuchPrinted(BaseException):
    """Ends a call that prints without bound."""


class NoRunError(Exception):
    """The source lacks what is called."""


class Printed(io.RawIOBase):
    """What the function prints: how much it was, and its end."""

    limit = count = 0
    tail = b""

    def writable(self):
        """Say that this can be written to."""
        return True

    def write(self, data):
        """Count and keep the end."""
        self.count += len(data)
        if self.count > self.limit:
            raise TooMuchPrinted
        self.tail = (self.tail + bytes(data[-LONGEST_TAIL:]))[-LONGEST_TAIL:]
        return len(data)

    def take(self):
        """Return the end of what was printed and start afresh."""
        tail = self.tail.decode("utf-8", "replace")
        self.tail, self.count = b"", 0
        return tail


class Dialect:
    """How JSON is read; ``_json.make_scanner`` asks for these."""

    strict, memo = True, {}
    object_hook, object_pairs_hook, parse_float, parse_int = None, None, float, int

    @staticmethod
    def parse_constant(name):
        """Refuse NaN and Infinity, which Python would read."""
        raise ValueError(f"{name} is not JSON")


def refuse(value):
    """Stop at a value that has no form in JSON; where it is, is found out afterwards."""
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


markers = {}
scan = _json.make_scanner(Dialect)
encode = _json.make_encoder(markers, refuse, _json.encode_basestring, None, ":", ",", False, False, False)
printed = Printed()
lines = []
run = None
most_output = 0


def send(kind, request, body):
    """Write one reply."""
    frame = len(body).to_bytes(4, "little") + request + kind + body
    sent = write(SOCKET, frame)
    while sent < len(frame):
        frame = frame[sent:]
        sent = write(SOCKET, frame)


def fail(request, reason, **facts):
    """Write a reply that says why there is no result."""
    facts["reason"] = reason
    send(FAILURE, request, "".join(encode(facts, 0)).encode("utf-8", "replace"))


def brief(error):
    """Return the message of an error, whatever its class makes of that."""
    try:
        return str(error)[:LONGEST_MESSAGE]
    except BaseException:
        return "(its message cannot be read)"


def line_of(number):
    """Return a line of the source."""
    return lines[number - 1].strip()[:200] if number and number <= len(lines) else None


def steps_of(error):
    """Return the lines of the function on the stack of an error, outermost first."""
    found, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename == FILE_NAME:
            found.append((trace.tb_lineno, code.co_name))
            # A deep recursion is told by its two ends.
            del found[FRAMES_SHOWN // 2 : -FRAMES_SHOWN // 2]
        trace = trace.tb_next
    return found


def is_forbidden(error):
    """Tell whether an error comes from what the jail refuses."""
    return (
        isinstance(error, PermissionError)
        or (isinstance(error, RuntimeError) and "can't start new thread" in brief(error))
        or (isinstance(error, OSError) and "No usable temporary directory" in brief(error))
    )


def fail_run(request, error):
    """Say why ``run`` has no result."""
    if isinstance(error, MemoryError):
        return fail(request, "Memory")
    if isinstance(error, TooMuchPrinted):
        return fail(request, "Printed", printed=printed.take())
    kind, message = type(error).__name__, brief(error)
    steps = [f"  line {number}, in {name}: {line_of(number)}" for number, name in steps_of(error)]
    trace = "\n".join(steps)
    if is_forbidden(error):
        return fail(request, "Forbidden", message=f"{kind}: {message}", traceback=trace)
    return fail(request, "Raised", kind=kind, message=message, traceback=trace, printed=printed.take())


def fail_load(request, error):
    """Say why the source cannot be loaded."""
    if isinstance(error, (MemoryError, TooMuchPrinted)) or is_forbidden(error):
        return fail_run(request, error)
    if isinstance(error, NoRunError):
        return fail(request, "Source", line=None, text=None, message="it defines no function `run(input)`")
    kind = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename == FILE_NAME:
        number, message = error.lineno, f"{kind}: {error.msg}"
    else:
        steps = steps_of(error)
        number = steps[-1][0] if steps else None
        message = f"its top-level code raises {kind}: {brief(error)}"
    return fail(request, "Source", line=number, text=line_of(number), message=message)


def find_fault(value, path, above):
    """Return the path of the first part of a value that is not JSON, and what it is; or None."""
    if value is None or isinstance(value, int):
        return None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeError:
            return path, "a str with a lone surrogate, which has no encoding"
        return None
    if isinstance(value, float):
        return None if value - value == 0 else (path, f"the float {value!r} has no form in JSON")
    if not isinstance(value, (dict, list, tuple)):
        return path, f"a {type(value).__name__} has no form in JSON"
    if id(value) in above:
        return path, f"the {type(value).__name__} contains itself"
    above = above | {id(value)}
    for name, part in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(value, dict) and not isinstance(name, (str, int, float, type(None))):
            return path, f"a key of the dict is a {type(name).__name__}"
        plain = isinstance(name, str) and name.isidentifier()
        fault = find_fault(name, f"{path} key", above) or find_fault(
            part, f"{path}.{name}" if plain else f"{path}[{name!r}]", above
        )
        if fault:
            return fault
    return None


def fail_output(request, value, error):
    """Say why a result cannot be written."""
    if isinstance(error, MemoryError):
        return fail(request, "Memory")
    try:
        fault = find_fault(value, "output", frozenset())
    except RecursionError:
        fault = "output", "it is nested too deeply"
    path, message = fault or ("output", f"{type(error).__name__}: {brief(error)}")
    return fail(request, "NotJson", path=path[:LONGEST_MESSAGE], message=message)


def parse(body):
    """Read an input."""
    text = body.decode("utf-8")
    try:
        value, end = scan(text, 0)
    except StopIteration:
        end = -1
    if end != len(text):
        # White space around the value is rare and not worth a search in every call.
        text = text.strip(" \t\r\n")
        value, end = scan(text, 0)
        if end != len(text):
            raise ValueError(f"there is more behind the value, at character {end}")
    return value


def answer(request, body):
    """Answer one call."""
    try:
        value = parse(body)
    except MemoryError:
        return fail(request, "Memory")
    except StopIteration as error:
        return fail(request, "Input", message=f"there is no value at character {error.value}")
    except BaseException as error:
        return fail(request, "Input", message=brief(error))
    try:
        value = run(value)
        printing = printed.count
        if printing > printed.limit:
            raise TooMuchPrinted
    except BaseException as error:
        fail_run(request, error)
        printed.take()
        return None
    tail = printed.take().encode() if printing else b""
    try:
        output = "".join(encode(value, 0)).encode("utf-8")
    except BaseException as error:
        markers.clear()
        return fail_output(request, value, error)
    if len(output) > most_output:
        return fail(request, "Output")
    if tail:
        return send(RESULT_AND_PRINT, request, len(tail).to_bytes(4, "little") + tail + output)
    return send(RESULT, request, output)


def load(request, body):
    """Take up the limits and the source of the first request."""
    global lines, most_output, run
    most_output, printed.limit = (
        int.from_bytes(body[:4], "little"),
        int.from_bytes(body[4:8], "little"),
    )
    stream = io.TextIOWrapper(printed, "utf-8", "backslashreplace", write_through=True)
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = stream
    source = body[8:].decode("utf-8")
    lines = source.split("\n")
    module = type(sys)(MODULE_NAME)
    sys.modules[MODULE_NAME] = module
    try:
        exec(compile(source, FILE_NAME, "exec", dont_inherit=True), module.__dict__)
        run = module.__dict__.get("run")
        if not callable(run):
            raise NoRunError
    except BaseException as error:
        return fail_load(request, error)
    printed.take()
    gc.collect()
    gc.freeze()
    return send(RESULT, request, b"null")


def serve():
    """Answer until the connection is closed."""
    handle, rest = load, b""
    while True:
        chunk = read(SOCKET, READ_AT_ONCE)
        if not chunk:
            return
        rest = rest + chunk if rest else chunk
        at = 0
        while len(rest) - at >= 12:
            end = at + 12 + int.from_bytes(rest[at : at + 4], "little")
            if end > len(rest):
                rest, at, end = complete(rest[at:], end - at), 0, end - at
            handle(rest[at + 4 : at + 12], rest[at + 12 : end])
            handle, at = answer, end
        rest = rest[at:]


def complete(start, size):
    """Read the rest of a request that came in parts."""
    whole = bytearray(start)
    while len(whole) < size:
        chunk = read(SOCKET, min(1 << 20, size - len(whole)))
        if not chunk:
            _exit(0)
        whole += chunk
    return bytes(whole)


try:
    serve()
except MemoryError:
    _exit(NO_MEMORY)
except OSError:
    # Those of the function are caught where it is called: this one comes from the connection.
    _exit(NO_CONNECTION)
