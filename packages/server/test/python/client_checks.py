"""Uses a server as people use MLflow, with MLflow's own client. Prints a line of JSON for each check.

client_checks.py URL [GROUP ...]
"""

import json
import math
import os
import sys
import tempfile
import traceback
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "2"
os.environ["GIT_PYTHON_REFRESH"] = "quiet"

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

url = sys.argv[1]
mlflow.set_tracking_uri(url)
client = MlflowClient(url)
checks = []


def check(group):
    def add(run):
        checks.append((group, run))
        return run

    return add


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def refused(run, code, *words):
    try:
        run()
    except MlflowException as error:
        same(error.error_code, code)
        for word in words:
            assert word in str(error), f"{error} does not say {word!r}"
        return
    raise AssertionError("it was not refused")


@check("experiments")
def experiments_have_their_life():
    made = mlflow.create_experiment("forecast", tags={"team": "weather"})
    found = client.get_experiment(made)
    same((found.name, found.tags["team"], found.lifecycle_stage), ("forecast", "weather", "active"))
    same(client.get_experiment_by_name("forecast").experiment_id, made)
    refused(lambda: mlflow.create_experiment("forecast"), "RESOURCE_ALREADY_EXISTS", "already exists")
    client.set_experiment_tag(made, "owner", "ana")
    client.rename_experiment(made, "forecast 2")
    renamed = client.get_experiment(made)
    same((renamed.name, renamed.tags["owner"]), ("forecast 2", "ana"))
    client.delete_experiment_tag(made, "owner")
    assert "owner" not in client.get_experiment(made).tags
    client.delete_experiment(made)
    same(client.get_experiment(made).lifecycle_stage, "deleted")
    assert made in [e.experiment_id for e in client.search_experiments(view_type=ViewType.DELETED_ONLY)]
    client.restore_experiment(made)
    same(client.get_experiment(made).lifecycle_stage, "active")
    assert client.get_experiment_by_name("nowhere") is None
    refused(lambda: client.get_experiment("nowhere"), "RESOURCE_DOES_NOT_EXIST")
    same(client.get_experiment("0").name, "Default")
    with mlflow.start_run(experiment_id="0") as run:
        pass
    same(client.get_run(run.info.run_id).info.experiment_id, "0")


@check("experiments")
def experiments_are_searched():
    for name, year in [("search/a", "1"), ("search/b", "2"), ("search/c", "2")]:
        mlflow.create_experiment(name, tags={"year": year})
    named = client.search_experiments(filter_string="name LIKE 'search/%'", order_by=["name DESC"])
    same([e.name for e in named], ["search/c", "search/b", "search/a"])
    tagged = client.search_experiments(filter_string="tags.year = '2' AND name != 'search/c'")
    same([e.name for e in tagged], ["search/b"])
    first = client.search_experiments(max_results=2, filter_string="name LIKE 'search/%'", order_by=["name"])
    rest = client.search_experiments(
        max_results=2, filter_string="name LIKE 'search/%'", order_by=["name"], page_token=first.token
    )
    same([e.name for e in first + rest], ["search/a", "search/b", "search/c"])


@check("runs")
def a_run_is_logged():
    mlflow.set_experiment("logged")
    with mlflow.start_run(run_name="first", description="what it is", tags={"team": "risk"}) as run:
        mlflow.log_param("rate", 0.1)
        mlflow.log_param("rate", 0.1)
        mlflow.log_params({"depth": 3, "model/kind": "tree"})
        mlflow.log_metric("loss", 1.0)
        for step in range(1, 6):
            mlflow.log_metric("loss", 1 / step, step=step)
        mlflow.log_metrics({"auc": 0.9, "f1": 0.8}, step=5)
        mlflow.set_tags({"a": "1", "b": "2"})
        mlflow.delete_tag("b")
        for key, value in [("nan", math.nan), ("inf", math.inf), ("ninf", -math.inf), ("zero", -0.0)]:
            mlflow.log_metric(key, value)
    found = client.get_run(run.info.run_id)
    info, data = found.info, found.data
    same((info.run_name, info.status, info.lifecycle_stage), ("first", "FINISHED", "active"))
    assert info.start_time <= info.end_time
    same(data.params, {"rate": "0.1", "depth": "3", "model/kind": "tree"})
    same((data.metrics["loss"], data.metrics["auc"]), (0.2, 0.9))
    assert math.isnan(data.metrics["nan"])
    same((data.metrics["inf"], data.metrics["ninf"]), (math.inf, -math.inf))
    same(math.copysign(1, data.metrics["zero"]), -1.0)
    same((data.tags["team"], data.tags["a"], data.tags["mlflow.runName"]), ("risk", "1", "first"))
    same(data.tags["mlflow.note.content"], "what it is")
    assert "b" not in data.tags and data.tags["mlflow.user"]
    history = client.get_metric_history(info.run_id, "loss")
    same([(m.step, m.value) for m in history], [(0, 1.0), (1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25), (5, 0.2)])
    same(client.get_metric_history(info.run_id, "none"), [])
    refused(lambda: client.log_param(info.run_id, "rate", 0.2), "INVALID_PARAMETER_VALUE", "Changing param values")
    refused(lambda: client.get_run("0123456789abcdef0123456789abcdef"), "RESOURCE_DOES_NOT_EXIST", "not found")
    refused(lambda: client.delete_tag(info.run_id, "none"), "RESOURCE_DOES_NOT_EXIST", "No tag with name: none")
    # What comes late is taken, as MLflow takes it.
    client.log_metric(info.run_id, "late", 1)
    client.log_param(info.run_id, "late", "yes")
    same(client.get_run(info.run_id).data.metrics["late"], 1)


@check("runs")
def runs_nest_end_and_come_back():
    experiment = mlflow.set_experiment("nested").experiment_id
    with mlflow.start_run(run_name="parent") as parent:
        for n in range(2):
            with mlflow.start_run(run_name=f"child {n}", nested=True):
                mlflow.log_metric("n", n)
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent.info.run_id}'", order_by=["metrics.n"])
    same([r.info.run_name for r in children], ["child 0", "child 1"])
    same(client.get_parent_run(children[0].info.run_id).info.run_id, parent.info.run_id)
    try:
        with mlflow.start_run() as failed:
            raise ValueError("no")
    except ValueError:
        pass
    same(client.get_run(failed.info.run_id).info.status, "FAILED")
    with mlflow.start_run(run_id=failed.info.run_id):
        same(client.get_run(failed.info.run_id).info.status, "RUNNING")
        mlflow.log_metric("again", 1)
    same(client.get_run(failed.info.run_id).info.status, "FINISHED")
    client.set_terminated(failed.info.run_id, "KILLED")
    same(client.get_run(failed.info.run_id).info.status, "KILLED")
    client.update_run(failed.info.run_id, name="renamed")
    same(client.get_run(failed.info.run_id).info.run_name, "renamed")
    client.delete_run(failed.info.run_id)
    same(client.get_run(failed.info.run_id).info.lifecycle_stage, "deleted")
    refused(lambda: client.log_metric(failed.info.run_id, "x", 1), "INVALID_PARAMETER_VALUE", "must be in the 'active' state")
    same(len(client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)), 1)
    same(len(client.search_runs([experiment], run_view_type=ViewType.ALL)), 4)
    client.restore_run(failed.info.run_id)
    client.log_metric(failed.info.run_id, "x", 1)
    old = client.create_run(experiment, start_time=1_000, run_name="old")
    client.set_terminated(old.info.run_id, end_time=5_000)
    found = client.get_run(old.info.run_id).info
    same((found.start_time, found.end_time), (1_000, 5_000))


@check("runs")
def batches_and_asynchronous_logging():
    mlflow.set_experiment("batches")
    with mlflow.start_run() as run:
        points = [Metric("loss", i / 7, 1_700_000_000_000 + i, i) for i in range(900)]
        client.log_batch(run.info.run_id, points, [Param(f"p{i}", str(i)) for i in range(50)], [RunTag("t", "v")])
        for i in range(50):
            mlflow.log_metric("slow", i, step=i, synchronous=False)
        mlflow.log_params({"one": 1, "two": 2}, synchronous=False)
        mlflow.flush_async_logging()
    history = client.get_metric_history(run.info.run_id, "loss")
    same([(m.step, m.value, m.timestamp) for m in history], [(p.step, p.value, p.timestamp) for p in points])
    same(len(client.get_metric_history(run.info.run_id, "slow")), 50)
    data = client.get_run(run.info.run_id).data
    same((len(data.params), data.params["two"], data.tags["t"]), (52, "2", "v"))


@check("runs")
def datasets_are_inputs():
    import pandas as pd

    experiment = mlflow.set_experiment("inputs").experiment_id
    frame = pd.DataFrame({"x": [1, 2, 3], "y": [0.1, 0.2, 0.3]})
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow.data.from_pandas(frame, name="rain", targets="y"), context="training")
        mlflow.log_input(mlflow.data.from_pandas(frame.head(2), name="eval"), context="holdout")
    inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
    found = {i.dataset.name: i for i in inputs}
    same({n: [(t.key, t.value) for t in i.tags] for n, i in found.items()},
         {"rain": [("mlflow.data.context", "training")], "eval": [("mlflow.data.context", "holdout")]})
    assert json.loads(found["rain"].dataset.schema)["mlflow_colspec"]
    same(json.loads(found["rain"].dataset.profile)["num_rows"], 3)
    same(len(client.search_runs([experiment], "datasets.name = 'rain'")), 1)
    same(len(client.search_runs([experiment], "dataset.context = 'holdout'")), 1)
    same(len(client.search_runs([experiment], "dataset.context = 'nothing'")), 0)


@check("search")
def runs_are_searched():
    experiment = mlflow.set_experiment("searched").experiment_id
    for i, kind in enumerate(["cnn", "cnn", "tree", "other"]):
        with mlflow.start_run(run_name=f"run {i}"):
            mlflow.log_param("model.kind", kind)
            mlflow.log_metrics({"val loss": i / 10, "loss.min": i})
            if i < 3:
                mlflow.set_tag("team", "vision")

    def names(filter, **more):
        return [r.info.run_name for r in client.search_runs([experiment], filter, **more)]

    same(names("", order_by=["metrics.`val loss` ASC"]), ["run 0", "run 1", "run 2", "run 3"])
    same(names('metrics."val loss" > 0.1', order_by=["metrics.`val loss` DESC"]), ["run 3", "run 2"])
    same(names("metrics.loss.min <= 1 and params.model.kind = 'cnn'", order_by=["run_name"]), ["run 0", "run 1"])
    same(names("params.`model.kind` LIKE 't%'"), ["run 2"])
    same(names("params.model.kind ILIKE 'TREE'"), ["run 2"])
    same(names("tags.team = 'vision' AND attributes.status = 'FINISHED'", order_by=["run_name DESC"]), ["run 2", "run 1", "run 0"])
    same(names("tags.team IS NULL"), ["run 3"])
    same(names("tags.team != 'vision'"), [])
    same(names("tags.mlflow.runName = 'run 1'"), ["run 1"])
    same(names("run_name = 'run 1' or attributes.`run name` = 'run 2'", order_by=["run_name"]), ["run 1", "run 2"])
    ids = [r.info.run_id for r in client.search_runs([experiment])]
    same(len(names(f"run_id IN ('{ids[0]}', '{ids[1]}')")), 2)
    same(len(names("start_time > 1000 and end_time > 1000")), 4)
    same(names(None), ["run 3", "run 2", "run 1", "run 0"])
    first = client.search_runs([experiment], max_results=3, order_by=["run_name"])
    rest = client.search_runs([experiment], max_results=3, order_by=["run_name"], page_token=first.token)
    same([len(first), len(rest), bool(rest.token)], [3, 1, False])
    frame = mlflow.search_runs([experiment], order_by=["metrics.`val loss`"])
    same(list(frame["params.model.kind"]), ["cnn", "cnn", "tree", "other"])
    refused(lambda: names("metrics.a >"), "INVALID_PARAMETER_VALUE", "Invalid clause(s)")
    refused(lambda: names("things.a = 'b'"), "INVALID_PARAMETER_VALUE", "Invalid entity type")
    refused(lambda: names("color = 'b'"), "INVALID_PARAMETER_VALUE", "Invalid attribute key")
    refused(lambda: names("", order_by=["run_name", "run_name"]), "INVALID_PARAMETER_VALUE", "duplicate")
    same(client.search_runs(["nowhere"]), [])


@check("artifacts")
def artifacts_go_through_the_server():
    mlflow.set_experiment("artifacts")
    with tempfile.TemporaryDirectory() as made, mlflow.start_run() as run:
        big = os.urandom(3_000_000)
        Path(made, "sub dir").mkdir()
        Path(made, "weights.bin").write_bytes(big)
        Path(made, "sub dir", "é 20%.txt").write_text("odd")
        mlflow.log_artifacts(made, "out")
        mlflow.log_artifact(str(Path(made, "weights.bin")))
        mlflow.log_text("hello", "notes/a.txt")
        mlflow.log_text("hello again", "notes/a.txt")
        mlflow.log_dict({"a": [1, 2]}, "notes/a.json")
        run_id = run.info.run_id
        same([(f.path, f.is_dir, f.file_size) for f in client.list_artifacts(run_id)],
             [("notes", True, None), ("out", True, None), ("weights.bin", False, 3_000_000)])
        same([f.path for f in client.list_artifacts(run_id, "out")], ["out/sub dir", "out/weights.bin"])
        same(client.list_artifacts(run_id, "weights.bin"), [])
        with tempfile.TemporaryDirectory() as fetched:
            local = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="out", dst_path=fetched)
            same(Path(local, "weights.bin").read_bytes(), big)
            same(Path(local, "sub dir", "é 20%.txt").read_text(), "odd")
        same(mlflow.artifacts.load_text(f"runs:/{run_id}/notes/a.txt"), "hello again")
        same(mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/notes/a.json"), {"a": [1, 2]})
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        get_artifact_repository(run.info.artifact_uri).delete_artifacts("notes/a.txt")
        same([f.path for f in client.list_artifacts(run_id, "notes")], ["notes/a.json"])
        refused(lambda: mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="nothing"), "RESOURCE_DOES_NOT_EXIST")
        os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] = "true"
        os.environ["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"] = "1000"
        try:
            mlflow.log_artifact(str(Path(made, "weights.bin")), "parts")
        finally:
            del os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"]
            del os.environ["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"]
        same(client.list_artifacts(run_id, "parts")[0].file_size, 3_000_000)


saved = {"serialization_format": "cloudpickle", "pip_requirements": ["scikit-learn"]}


def trained(seed=0):
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 3))
    y = (x[:, 0] > 0).astype(int)
    return LogisticRegression().fit(x, y), x, y


@check("models")
def a_model_is_logged_loaded_and_registered():
    import mlflow.sklearn
    from mlflow.models import infer_signature

    experiment = mlflow.set_experiment("models").experiment_id
    model, x, y = trained()
    with mlflow.start_run() as run:
        mlflow.log_metric("auc", 0.91)
        logged = mlflow.sklearn.log_model(
            model, name="classifier", signature=infer_signature(x, model.predict(x)), **saved
        )
    run_id = run.info.run_id
    wanted = model.predict(x).tolist()
    for uri in [f"runs:/{run_id}/classifier", logged.model_uri, f"models:/{logged.model_id}"]:
        same(mlflow.pyfunc.load_model(uri).predict(x).tolist(), wanted)
    found = client.get_logged_model(logged.model_id)
    same((found.name, str(found.status), found.source_run_id), ("classifier", "READY", run_id))
    same([m.model_id for m in client.get_run(run_id).outputs.model_outputs], [logged.model_id])
    searched = client.search_logged_models([experiment], "metrics.auc > 0.9 AND name = 'classifier'")
    same([m.model_id for m in searched], [logged.model_id])
    same(client.search_logged_models([experiment], "metrics.auc > 0.95").to_list(), [])
    client.set_logged_model_tags(logged.model_id, {"a": "b"})
    same(client.get_logged_model(logged.model_id).tags["a"], "b")
    client.delete_logged_model_tag(logged.model_id, "a")
    assert "a" not in client.get_logged_model(logged.model_id).tags

    first = mlflow.register_model(f"runs:/{run_id}/classifier", "fraud")
    second = mlflow.register_model(logged.model_uri, "fraud", tags={"team": "risk"})
    same([(v.version, v.status, v.current_stage, v.run_id) for v in [first, second]],
         [(n, "READY", "None", run_id) for n in [1, 2]] if isinstance(first.version, int) else
         [(n, "READY", "None", run_id) for n in ["1", "2"]])
    same(mlflow.pyfunc.load_model("models:/fraud/2").predict(x).tolist(), wanted)
    client.set_registered_model_alias("fraud", "champion", "2")
    same(mlflow.sklearn.load_model("models:/fraud@champion").predict(x).tolist(), wanted)
    client.transition_model_version_stage("fraud", "1", "Staging")
    client.transition_model_version_stage("fraud", "2", "Staging", archive_existing_versions=True)
    same(client.get_model_version("fraud", "1").current_stage, "Archived")
    same([str(v.version) for v in client.get_latest_versions("fraud", ["Staging"])], ["2"])
    same(mlflow.pyfunc.load_model("models:/fraud/Staging").predict(x).tolist(), wanted)
    same(mlflow.pyfunc.load_model("models:/fraud/latest").predict(x).tolist(), wanted)
    same({(r["name"], r["version"]) for r in json.loads(client.get_logged_model(logged.model_id).tags["mlflow.modelVersions"])} != set(), True)


@check("models")
def a_model_outside_of_runs_and_an_old_one():
    import mlflow.sklearn

    mlflow.set_experiment("models")
    model, x, _ = trained(1)
    outside = mlflow.sklearn.log_model(model, name="outside", **saved)
    same(mlflow.pyfunc.load_model(outside.model_uri).predict(x).tolist(), model.predict(x).tolist())
    # As MLflow 2 does it: files below the run's own artifacts, and the run told of them.
    with tempfile.TemporaryDirectory() as made, mlflow.start_run() as run:
        mlflow.sklearn.save_model(model, f"{made}/m", **saved)
        mlflow.log_artifacts(f"{made}/m", "old")
    same(mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/old").predict(x).tolist(), model.predict(x).tolist())
    client.create_registered_model("old")
    version = client.create_model_version("old", f"{run.info.artifact_uri}/old", run.info.run_id)
    same(mlflow.pyfunc.load_model(f"models:/old/{version.version}").predict(x).tolist(), model.predict(x).tolist())
    copied = client.copy_model_version("models:/old/1", "copied")
    same(mlflow.pyfunc.load_model(f"models:/copied/{copied.version}").predict(x).tolist(), model.predict(x).tolist())


@check("models")
def scikit_learn_logs_by_itself():
    import mlflow.sklearn
    from sklearn.linear_model import LogisticRegression

    experiment = mlflow.set_experiment("autolog").experiment_id
    _, x, y = trained()
    mlflow.sklearn.autolog(log_input_examples=True, silent=True)
    try:
        with mlflow.start_run() as run:
            LogisticRegression(C=0.5).fit(x, y)
    finally:
        mlflow.sklearn.autolog(disable=True)
    found = client.get_run(run.info.run_id)
    same((found.data.params["C"], found.data.tags["estimator_name"]), ("0.5", "LogisticRegression"))
    assert "training_accuracy_score" in found.data.metrics, found.data.metrics
    same(len(found.inputs.dataset_inputs), 1)
    same(mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(x).shape, (60,))
    same([m.name for m in client.search_logged_models([experiment])], ["model"])


@check("models")
def system_metrics_and_figures():
    mlflow.set_experiment("system")
    with mlflow.start_run(log_system_metrics=False) as run:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(run.info.run_id, sampling_interval=0.1, samples_before_logging=1)
        monitor.start()
        while not client.get_run(run.info.run_id).data.metrics:
            pass
        monitor.finish()
        mlflow.log_table({"a": [1, 2]}, "table.json")
        mlflow.log_dict({"data": []}, "figure.json")

        # What log_figure does with a figure of matplotlib, which is not at hand here.
        with client._log_artifact_helper(run.info.run_id, "plots/curve.png") as path:
            Path(path).write_bytes(b"\x89PNG\r\n\x1a\n")
    assert any(k.startswith("system/") for k in client.get_run(run.info.run_id).data.metrics)
    same([f.path for f in client.list_artifacts(run.info.run_id, "plots")], ["plots/curve.png"])
    same(list(mlflow.load_table("table.json", run_ids=[run.info.run_id])["a"]), [1, 2])


@check("registry")
def the_registry_is_used():
    made = client.create_registered_model("scores", tags={"team": "risk"}, description="what it is")
    same((made.name, made.description, made.tags), ("scores", "what it is", {"team": "risk"}))
    refused(lambda: client.create_registered_model("scores"), "RESOURCE_ALREADY_EXISTS")
    refused(lambda: client.create_registered_model("a/b"), "INVALID_PARAMETER_VALUE")
    client.update_registered_model("scores", "something else")
    client.set_registered_model_tag("scores", "a", "b")
    client.delete_registered_model_tag("scores", "team")
    found = client.get_registered_model("scores")
    same((found.description, found.tags), ("something else", {"a": "b"}))
    refused(lambda: client.get_registered_model("nowhere"), "RESOURCE_DOES_NOT_EXIST", "not found")
    same([m.name for m in client.search_registered_models("name LIKE 'scor%'")], ["scores"])
    same([m.name for m in client.search_registered_models("tags.a = 'b'")], ["scores"])

    with mlflow.start_run(experiment_id="0") as run:
        mlflow.log_text("1", "model/weights.txt")
    source = f"{run.info.artifact_uri}/model"
    version = client.create_model_version("scores", source, run.info.run_id, tags={"k": "v"}, description="first")
    again = client.create_model_version("scores", source, run.info.run_id)
    same([str(version.version), str(again.version)], ["1", "2"])
    same((version.source, version.tags, version.description), (source, {"k": "v"}, "first"))
    with tempfile.TemporaryDirectory() as fetched:
        local = mlflow.artifacts.download_artifacts("models:/scores/1", dst_path=fetched)
        same(Path(local, "weights.txt").read_text(), "1")
    client.update_model_version("scores", "1", "changed")
    client.set_model_version_tag("scores", "1", "x", "y")
    client.delete_model_version_tag("scores", "1", "k")
    found = client.get_model_version("scores", "1")
    same((found.description, found.tags), ("changed", {"x": "y"}))
    named = client.search_model_versions("name = 'scores'", order_by=["version_number ASC"])
    same([str(v.version) for v in named], ["1", "2"])
    same(len(client.search_model_versions(f"run_id = '{run.info.run_id}' AND source_path LIKE 'mlflow-artifacts:%'")), 2)
    client.set_registered_model_alias("scores", "best", "1")
    same(str(client.get_model_version_by_alias("scores", "best").version), "1")
    same(client.get_model_version("scores", "1").aliases, ["best"])
    client.delete_registered_model_alias("scores", "best")
    client.delete_registered_model_alias("scores", "best")
    refused(lambda: client.get_model_version_by_alias("scores", "best"), "INVALID_PARAMETER_VALUE", "not found")
    refused(lambda: client.create_model_version("scores", "/etc/passwd"), "INVALID_PARAMETER_VALUE", "local path")
    refused(lambda: client.create_model_version("scores", "file:///etc/passwd", run.info.run_id), "INVALID_PARAMETER_VALUE")
    refused(lambda: client.create_model_version("scores", f"{run.info.artifact_uri}/nothing"), "RESOURCE_DOES_NOT_EXIST")
    refused(lambda: client.create_model_version("scores", f"{run.info.artifact_uri}/../x"), "INVALID_PARAMETER_VALUE")
    elsewhere = client.create_model_version("scores", "s3://bucket/model")
    same(client.get_model_version_download_uri("scores", str(elsewhere.version)), "s3://bucket/model")
    refused(lambda: client.transition_model_version_stage("scores", "1", "Nowhere"), "INVALID_PARAMETER_VALUE")
    client.transition_model_version_stage("scores", "1", "Production")
    refused(lambda: client.rename_registered_model("scores", "other"), "NOT_IMPLEMENTED")
    client.delete_model_version("scores", "2")
    refused(lambda: client.get_model_version("scores", "2"), "RESOURCE_DOES_NOT_EXIST")
    client.create_registered_model("goes")
    client.delete_registered_model("goes")
    refused(lambda: client.get_registered_model("goes"), "RESOURCE_DOES_NOT_EXIST")


wanted = sys.argv[2:]
for group, run in checks:
    if wanted and group not in wanted:
        continue
    error = None
    try:
        run()
    except BaseException:
        error = traceback.format_exc()
        while mlflow.active_run():
            mlflow.end_run()
    print(json.dumps({"group": group, "name": run.__name__.replace("_", " "), "error": error}), flush=True)
