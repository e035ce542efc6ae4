"""What NVIDIA's client must be able to do with a server; arguments: address of one deployment per datatype
(echo-fp32 …), address of one of all datatypes together and a small limit of bodies (every)."""

import sys

import ml_dtypes
import numpy as np
import tritonclient.http as http
from checks import EXACT, Checks, equal
from tritonclient.utils import InferenceServerException

echoes, every = sys.argv[1:3]
checks = Checks()

SAMPLES = {
    **EXACT,
    "FP16": np.array([[1.5, -65504.0], [np.inf, np.nan]], dtype=np.float16),
    "BF16": np.array([[1.5, -3.0e38], [0.0, 2.0]], dtype=ml_dtypes.bfloat16),
    "FP32": np.array([[1.5, -3.4e38], [-0.0, 1e-45], [np.nan, -np.inf]], dtype=np.float32),
    "FP64": np.array([[0.1, -1.7e308], [-0.0, 5e-324], [np.nan, np.inf]], dtype=np.float64),
    "BYTES": np.array([["Köln", ""], ["𝄞 \"\\\n", "x" * 300]], dtype=object),
}
BINARY_ONLY = ("FP16", "BF16")


def tensor(name, datatype, values, binary):
    given = http.InferInput(name, list(values.shape), datatype)
    if datatype == "BYTES" and values.size > 0:
        values = np.array([[item.encode() if isinstance(item, str) else item for item in row] for row in values], dtype=object)
    given.set_data_from_numpy(values, binary_data=binary)
    return given


def same(found, wanted, datatype):
    assert found is not None, "the output is missing"
    equal(tuple(found.shape), tuple(wanted.shape), "shape")
    if datatype == "BYTES":
        texts = [item.decode() if isinstance(item, bytes) else item for item in found.flatten()]
        equal(texts, list(wanted.flatten()), "elements")
    else:
        equal(str(found.dtype), str(wanted.dtype), "dtype")
        # Bit for bit: the sign of zero and the not-a-number too.
        equal(found.tobytes(), wanted.tobytes(), "bytes")


def echo(client, datatype, values, binary, output, **more):
    outputs = None if output == "default" else [http.InferRequestedOutput("y", binary_data=output == "binary")]
    result = client.infer(f"echo-{datatype.lower()}", [tensor("x", datatype, values, binary)], outputs=outputs, **more)
    same(result.as_numpy("y"), values, datatype)
    return result


def refused(status, part, run):
    try:
        run()
    except InferenceServerException as error:
        equal(error.status(), str(status), f"status of {error.message()!r}")
        assert part in error.message(), f"{error.message()!r} does not say {part!r}"
        return
    raise AssertionError("was not refused")


with http.InferenceServerClient(echoes) as client:
    checks.group = "datatypes"
    for datatype, values in SAMPLES.items():
        for binary in (True,) if datatype in BINARY_ONLY else (True, False):
            for output in ("binary", "json", "default"):
                way = f"{datatype} {'binary' if binary else 'JSON'} in, {output} out"
                checks.hold(way, lambda: echo(client, datatype, values, binary, output))
    raw = np.array([[b"\xff\x00", b"\x00"]], dtype=object)

    def bytes_that_are_no_text():
        given = http.InferInput("x", [1, 2], "BYTES").set_data_from_numpy(raw, binary_data=True)
        for binary in (True, False):
            wanted = [http.InferRequestedOutput("y", binary_data=binary)]
            found = client.infer("echo-bytes", [given], outputs=wanted).as_numpy("y")
            equal(found.tolist(), raw.tolist())

    checks.hold("BYTES that are no text", bytes_that_are_no_text)

    checks.group = "empty tensors"
    for datatype in SAMPLES:
        values = np.empty((0, 2), dtype=SAMPLES[datatype].dtype)
        for binary in (True,) if datatype in BINARY_ONLY else (True, False):
            for output in ("binary", "json", "default"):
                way = f"{datatype} {'binary' if binary else 'JSON'} in, {output} out"
                checks.hold(way, lambda: echo(client, datatype, values, binary, output))

    checks.group = "compression"
    # Long enough that compressing the answer is worth while.
    large = np.arange(20_000, dtype=np.float64).reshape(-1, 2)

    def compressed(binary, output, asked, answered):
        seen = {}
        post = client._post

        def spy(*args, **named):
            response = post(*args, **named)
            seen["encoding"] = response.get("content-encoding")
            return response

        client._post = spy
        try:
            echo(client, "FP64", large, binary, output,
                 request_compression_algorithm=asked, response_compression_algorithm=answered)
        finally:
            client._post = post
        equal(seen["encoding"], answered, "Content-Encoding")

    for asked in (None, "gzip", "deflate"):
        for answered in (None, "gzip", "deflate"):
            for binary in (True, False):
                for output in ("binary", "json", "default"):
                    way = f"request {asked}, answer {answered}, {'binary' if binary else 'JSON'} in, {output} out"
                    checks.hold(way, lambda: compressed(binary, output, asked, answered))

    checks.group = "ids, versions, parameters"

    def id_echoed():
        for request_id in ("one", "with \"quotes\" and Köln"):
            result = echo(client, "FP32", SAMPLES["FP32"], True, "json", request_id=request_id)
            equal(result.get_response()["id"], request_id)
        assert "id" not in echo(client, "FP32", SAMPLES["FP32"], True, "json").get_response()

    checks.hold("the id comes back, and none where none was given", id_echoed)

    def named_version():
        result = echo(client, "FP32", SAMPLES["FP32"], True, "json", model_version="1.0.fp32")
        equal(result.get_response()["model_version"], "1.0.fp32")
        equal(result.get_response()["model_name"], "echo-fp32")

    checks.hold("a version by its number", named_version)
    checks.hold("parameters, priority and timeout are taken", lambda: echo(
        client, "FP32", SAMPLES["FP32"], True, "json", priority=1, timeout=5_000_000, parameters={"tenant": "a", "n": 1, "flag": True}))
    checks.hold("headers and query are taken", lambda: echo(
        client, "FP32", SAMPLES["FP32"], True, "json", headers={"x-user": "u"}, query_params={"a": "b"}))

    checks.group = "health and metadata"

    def health():
        assert client.is_server_live() and client.is_server_ready()
        assert client.is_model_ready("echo-fp32") and client.is_model_ready("echo-fp32", "1.0.fp32")
        assert not client.is_model_ready("nobody") and not client.is_model_ready("echo-fp32", "9")

    checks.hold("live, ready, model ready", health)

    def server_metadata():
        metadata = client.get_server_metadata()
        equal(metadata["name"], "keelson")
        for extension in ("binary_tensor_data", "model_repository", "statistics", "model_configuration"):
            assert extension in metadata["extensions"], f"{extension} is not among {metadata['extensions']}"

    checks.hold("server metadata", server_metadata)

    def model_metadata():
        for metadata in (client.get_model_metadata("echo-int64"), client.get_model_metadata("echo-int64", "1.0.int64")):
            equal(metadata["name"], "echo-int64")
            equal(metadata["versions"], ["1.0.int64"])
            equal(metadata["inputs"], [{"name": "x", "datatype": "INT64", "shape": [-1, 2]}])
            equal(metadata["outputs"], [{"name": "y", "datatype": "INT64", "shape": [-1, 2]}])

    checks.hold("model metadata", model_metadata)

    def model_config():
        config = client.get_model_config("echo-bytes")
        equal(config["name"], "echo-bytes")
        equal(config["input"], [{"name": "x", "data_type": "TYPE_STRING", "dims": [2]}])
        equal(config["output"], [{"name": "y", "data_type": "TYPE_STRING", "dims": [2]}])
        assert config["max_batch_size"] > 0

    checks.hold("model configuration", model_config)

    def statistics():
        before = client.get_inference_statistics("echo-uint8")["model_stats"][0]
        echo(client, "UINT8", SAMPLES["UINT8"], True, "json")
        refused(400, "nowhere", lambda: client.infer(
            "echo-uint8", [tensor("x", "UINT8", SAMPLES["UINT8"], True)], outputs=[http.InferRequestedOutput("nowhere")]))
        after = client.get_inference_statistics("echo-uint8", "1.0.uint8")["model_stats"][0]
        equal((after["name"], after["version"]), ("echo-uint8", "1.0.uint8"))
        equal(after["inference_count"] - before["inference_count"], 2, "rows")
        equal(after["execution_count"] - before["execution_count"], 1, "executions")
        equal(after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"], 1, "answered")
        assert after["inference_stats"]["compute_infer"]["ns"] > before["inference_stats"]["compute_infer"]["ns"]
        assert after["last_inference"] >= before["last_inference"] > 1_600_000_000_000
        everything = client.get_inference_statistics()["model_stats"]
        equal(sorted(stats["name"] for stats in everything), sorted(f"echo-{name.lower()}" for name in SAMPLES))

    checks.hold("statistics", statistics)

    checks.group = "repository"

    def index():
        entries = {entry["name"]: entry for entry in client.get_model_repository_index()}
        equal(sorted(entries), sorted(f"echo-{name.lower()}" for name in SAMPLES))
        equal(entries["echo-fp32"], {"name": "echo-fp32", "version": "1.0.fp32", "state": "READY", "reason": ""})

    checks.hold("index", index)

    def unload_and_load():
        client.unload_model("echo-fp32")
        assert not client.is_model_ready("echo-fp32")
        assert client.is_server_ready()
        entries = {entry["name"]: entry for entry in client.get_model_repository_index()}
        equal(entries["echo-fp32"]["state"], "UNAVAILABLE")
        equal(entries["echo-fp32"]["reason"], "unloaded")
        refused(503, "unloaded", lambda: echo(client, "FP32", SAMPLES["FP32"], True, "json"))
        client.unload_model("echo-fp32")
        client.load_model("echo-fp32")
        assert client.is_model_ready("echo-fp32")
        echo(client, "FP32", SAMPLES["FP32"], True, "json")
        client.load_model("echo-fp32")

    checks.hold("unload, load", unload_and_load)
    checks.hold("load of an unknown one", lambda: refused(404, "nobody", lambda: client.load_model("nobody")))
    checks.hold("what is brought along is refused", lambda: refused(
        501, "config", lambda: client.load_model("echo-fp32", config='{"max_batch_size": 4}')))

    checks.group = "errors"
    wrong = tensor("x", "FP32", SAMPLES["FP32"], True)
    checks.hold("unknown model", lambda: refused(404, "nobody", lambda: client.infer("nobody", [wrong])))
    checks.hold("unknown version", lambda: refused(404, "9.9", lambda: client.infer("echo-fp32", [wrong], model_version="9.9")))
    checks.hold("wrong datatype", lambda: refused(422, "INT64", lambda: client.infer("echo-int64", [wrong])))
    checks.hold("wrong name", lambda: refused(
        422, '"z"', lambda: client.infer("echo-fp32", [tensor("z", "FP32", SAMPLES["FP32"], True)])))
    checks.hold("wrong shape", lambda: refused(
        422, "shape", lambda: client.infer("echo-fp32", [tensor("x", "FP32", np.zeros((2, 3), dtype=np.float32), True)])))
    checks.hold("unknown output", lambda: refused(
        400, "nowhere", lambda: client.infer("echo-fp32", [wrong], outputs=[http.InferRequestedOutput("nowhere")])))
    checks.hold("metadata of an unknown model", lambda: refused(404, "nobody", lambda: client.get_model_metadata("nobody")))
    checks.hold("FP16 as JSON", lambda: refused(
        400, "binary", lambda: client.infer("echo-fp16", [tensor("x", "FP16", SAMPLES["FP16"], False)])))

with http.InferenceServerClient(every, concurrency=20) as client:
    checks.group = "all datatypes in one request, 20 at once"

    def one(number, binary_in, binary_out):
        given, wanted, expected = [], [], {}
        for datatype, values in SAMPLES.items():
            rolled = np.roll(np.concatenate([values[-2:]] * (1 + number % 3)), number % 2, axis=0)
            expected[datatype] = rolled
            given.append(tensor(f"x-{datatype}", datatype, rolled, binary_in or datatype in BINARY_ONLY))
            wanted.append(http.InferRequestedOutput(f"y-{datatype}", binary_data=binary_out))
        return given, wanted, expected

    def concurrent():
        requests = [one(number, number % 2 == 0, number % 5 < 3) for number in range(60)]
        handles = [client.async_infer("every", given, outputs=wanted, request_id=f"r-{i}")
                   for i, (given, wanted, _) in enumerate(requests)]
        for i, (handle, (_, _, expected)) in enumerate(zip(handles, requests)):
            result = handle.get_result()
            equal(result.get_response()["id"], f"r-{i}")
            for datatype, values in expected.items():
                same(result.as_numpy(f"y-{datatype}"), values, datatype)

    checks.hold("each gets its own answer", concurrent)

    def some_outputs():
        given, _, expected = one(0, True, True)
        result = client.infer("every", given, outputs=[
            http.InferRequestedOutput("y-INT8", binary_data=True), http.InferRequestedOutput("y-BYTES", binary_data=False)])
        equal([output["name"] for output in result.get_response()["outputs"]], ["y-INT8", "y-BYTES"])
        same(result.as_numpy("y-INT8"), expected["INT8"], "INT8")
        same(result.as_numpy("y-BYTES"), expected["BYTES"], "BYTES")

    checks.hold("only the outputs asked for, in their order", some_outputs)

    checks.group = "limits and control"
    too_much = np.zeros((40_000, 2), dtype=np.float64)
    big = [tensor("x-FP64", "FP64", too_much, True)]
    checks.hold("a body over the limit", lambda: refused(413, "limit", lambda: client.infer("every", big)))
    for encoding in ("gzip", "deflate"):
        checks.hold(f"a {encoding} body over the limit when unpacked", lambda: refused(
            413, "limit", lambda: client.infer("every", big, request_compression_algorithm=encoding)))
    checks.hold("no unloading where it is not allowed", lambda: refused(
        403, "modelControl", lambda: client.unload_model("every")))
    checks.hold("no loading where it is not allowed", lambda: refused(
        403, "modelControl", lambda: client.load_model("every")))
    checks.hold("still ready", lambda: equal(client.is_model_ready("every"), True))
