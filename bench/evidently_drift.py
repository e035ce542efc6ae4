"""Compares tables by Evidently's drift preset, once for each line of its input.

Called by bench/evidently.ts with a directory that holds columns as raw 64-bit floats (`SIDE-NAME.f64`) or as
8-bit codes of categories (`SIDE-NAME.u8`); answers lines of JSON: first the version, then how many ms each comparison took
and how many columns it found to have drifted. Reading the columns is not measured.
"""

import json
import os
import sys
import time
import warnings

os.environ["DO_NOT_TRACK"] = "1"
warnings.filterwarnings("ignore")

import evidently  # noqa: E402
import numpy  # noqa: E402
import pandas  # noqa: E402
from evidently import DataDefinition, Dataset, Report  # noqa: E402
from evidently.presets import DataDriftPreset  # noqa: E402

directory = sys.argv[1]
names = sorted(name[len("reference-"):] for name in os.listdir(directory) if name.startswith("reference-"))
numeric = [name[:-4] for name in names if name.endswith(".f64")]
categorical = [name[:-3] for name in names if name.endswith(".u8")]


def table(side):
    columns = {}
    for name in numeric:
        columns[name] = numpy.fromfile(os.path.join(directory, f"{side}-{name}.f64"))
    words = numpy.array([f"c{code}" for code in range(256)], dtype=object)
    for name in categorical:
        codes = numpy.fromfile(os.path.join(directory, f"{side}-{name}.u8"), dtype=numpy.uint8)
        columns[name] = words[codes]
    return pandas.DataFrame(columns)


def answer(**values):
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


definition = DataDefinition(numerical_columns=numeric, categorical_columns=categorical)
reference, current = table("reference"), table("current")
answer(version=evidently.__version__)
for _ in sys.stdin:
    began = time.perf_counter()
    report = Report([DataDriftPreset()]).run(
        Dataset.from_pandas(current, data_definition=definition),
        Dataset.from_pandas(reference, data_definition=definition),
    )
    found = report.dict()
    took = (time.perf_counter() - began) * 1000
    answer(ms=took, drifted=float(found["metrics"][0]["value"]["count"]))
