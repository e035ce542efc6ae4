"""Trains a classifier on wind and cloud, and writes it as MLServer reads it; argument: a directory."""

import json
import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression

directory = Path(sys.argv[1])
directory.mkdir(parents=True)
rows = np.array([[float(i % 7), float(i % 5)] for i in range(70)])
model = LogisticRegression().fit(rows, (rows.sum(axis=1) > 5).astype(np.int64))
joblib.dump(model, directory / "model.joblib")
settings = {"name": "rain", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"}}
(directory / "model-settings.json").write_text(json.dumps(settings))
