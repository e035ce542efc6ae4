"""Makes the XGBoost models beside this script and notes what XGBoost itself reports of each.

    python -m venv /tmp/models && /tmp/models/bin/pip install xgboost-cpu numpy
    /tmp/models/bin/python make-xgboost-models.py [DIRECTORY]

Writes DIRECTORY/*.{json,ubj} (default: xgboost/ beside the script) and DIRECTORY/reported.json.
"""

import json
import os
import sys

import numpy as np
import xgboost

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "xgboost")
os.makedirs(out, exist_ok=True)
reported = {}
rng = np.random.default_rng(1)
x = rng.normal(size=(60, 4)).astype(np.float32)
x[:, 3] = rng.integers(0, 3, 60)
x[:, 2] = rng.integers(0, 2, 60)


def save(name, labels, params, names=None, types=None, ending=("json", "ubj")):
    data = xgboost.DMatrix(x, label=labels, feature_names=names, feature_types=types, enable_categorical=True)
    booster = xgboost.train({"max_depth": 2, **params}, data, 3)
    for each in ending:
        file = f"{name}.{each}"
        booster.save_model(os.path.join(out, file))
        loaded = xgboost.Booster(model_file=os.path.join(out, file))
        reported[file] = {
            "features": loaded.num_features(),
            "names": loaded.feature_names,
            "types": loaded.feature_types,
            "objective": json.loads(loaded.save_config())["learner"]["objective"]["name"],
            "trees": len(loaded.get_dump()),
            "output": list(loaded.predict(data).shape[1:]),
        }


two = (x[:, 0] > 0).astype(int)
three = two + (x[:, 1] > 1)
save("binary", two, {"objective": "binary:logistic"})
save("named", x[:, 0] * 2, {"objective": "reg:squarederror"}, ["age", "größe in cm", "new", "town"], ["int", "q", "i", "c"])
save("softprob", three, {"objective": "multi:softprob", "num_class": 3}, ending=["ubj"])
save("softmax", three, {"objective": "multi:softmax", "num_class": 3}, ending=["json"])
save("targets", x[:, :2], {"objective": "reg:squarederror"}, ending=["ubj"])
save("linear", x[:, 0], {"booster": "gblinear", "objective": "reg:squarederror"}, ending=["json"])
save("dart", two, {"booster": "dart", "objective": "binary:logistic"}, ending=["ubj"])

with open(os.path.join(out, "reported.json"), "w") as file:
    json.dump({"xgboost": xgboost.__version__, "models": reported}, file, ensure_ascii=False, indent=1, sort_keys=True)
    file.write("\n")
for file in os.listdir(out):
    print(os.path.getsize(os.path.join(out, file)), file)
