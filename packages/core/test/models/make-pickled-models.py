"""Makes the pickled scikit-learn models and the PyTorch files beside this script. No test loads them.

    python -m venv /tmp/models && /tmp/models/bin/pip install scikit-learn joblib    (and torch, for pytorch/)
    /tmp/models/bin/python make-pickled-models.py
"""

import importlib.util
import os
import pickle

here = os.path.dirname(os.path.abspath(__file__))


def sklearn_models():
    import joblib
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    out = os.path.join(here, "pickle")
    os.makedirs(out, exist_ok=True)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    y = (x[:, 0] > 0).astype(int)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    for protocol in (0, 2, 4, 5):
        with open(os.path.join(out, f"p{protocol}.pkl"), "wb") as file:
            pickle.dump(model, file, protocol=protocol)
    joblib.dump(model, os.path.join(out, "m.joblib"))
    joblib.dump(model, os.path.join(out, "mz.joblib"), compress=3)
    joblib.dump(model, os.path.join(out, "mg.joblib"), compress=("gzip", 3))
    joblib.dump(RandomForestClassifier(3, max_depth=2).fit(x, y), os.path.join(out, "rf.joblib"))


def torch_models():
    import torch

    out = os.path.join(here, "pytorch")
    os.makedirs(out, exist_ok=True)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 3)

        def forward(self, x):
            return self.linear(x).relu()

    # Where pickle finds it.
    Net.__qualname__ = "Net"
    globals()["Net"] = Net

    def path(name):
        return os.path.join(out, name)

    net = Net().eval()
    torch.jit.script(net).save(path("script.pt"))
    torch.save(net.state_dict(), path("state.pt"))
    torch.save(net, path("whole.pth"))
    torch.save(net.state_dict(), path("legacy.pt"), _use_new_zipfile_serialization=False)
    batch = torch.export.Dim("batch")
    torch.export.save(torch.export.export(net, (torch.ones(2, 4),), dynamic_shapes=({0: batch},)), path("net.pt2"))


if importlib.util.find_spec("sklearn"):
    sklearn_models()
if importlib.util.find_spec("torch"):
    torch_models()
