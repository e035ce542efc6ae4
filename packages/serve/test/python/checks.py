"""Runs named checks and prints one JSON line for each: {"group", "name", "error"}, the error null when it held."""

import json
import traceback


class Checks:
    def __init__(self):
        self.group = ""

    def hold(self, name, run):
        try:
            run()
            error = None
        except Exception as fault:
            last = traceback.extract_tb(fault.__traceback__)[-1]
            error = f"{type(fault).__name__}: {fault} ({last.name}:{last.lineno})"
        print(json.dumps({"group": self.group, "name": name, "error": error}), flush=True)


def equal(found, wanted, what=""):
    if found != wanted:
        raise AssertionError(f"{what} {found!r} is not {wanted!r}")
