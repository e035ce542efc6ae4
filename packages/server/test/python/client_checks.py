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
