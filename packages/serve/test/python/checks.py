"""Runs named checks and prints one JSON line for each: {"group", "name", "error"}, the error null when it held."""

import json
import traceback

import numpy as np

# The bounds of each datatype that is exact, and 64-bit integers beyond what a double holds.
EXACT = {
    "BOOL": np.array([[True, False], [False, True]]),
    "UINT8": np.array([[0, 255], [1, 2]], dtype=np.uint8),
    "UINT16": np.array([[0, 65535], [1, 2]], dtype=np.uint16),
    "UINT32": np.array([[0, 2**32 - 1], [1, 2]], dtype=np.uint32),
    "UINT64": np.array([[0, 2**64 - 1], [2**53 + 1, 2]], dtype=np.uint64),
    "INT8": np.array([[-128, 127], [1, -2]], dtype=np.int8),
    "INT16": np.array([[-32768, 32767], [1, -2]], dtype=np.int16),
    "INT32": np.array([[-(2**31), 2**31 - 1], [1, -2]], dtype=np.int32),
    "INT64": np.array([[-(2**63), 2**63 - 1], [2**53 + 1, -2]], dtype=np.int64),
}


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
