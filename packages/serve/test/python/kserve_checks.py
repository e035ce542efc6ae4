"""What KServe's REST client must be able to do with a server; arguments as of triton_checks.py."""

import asyncio
import sys

import httpx
import numpy as np
from checks import EXACT, Checks, equal
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

echoes, every = (f"http://{address}" for address in sys.argv[1:3])
checks = Checks()

SAMPLES = {
    **EXACT,
    "FP16": np.array([[1.5, -65504.0], [0.5, 2.0]], dtype=np.float16),
    "FP32": np.array([[1.5, -3.25e38], [0.5, 2.0]], dtype=np.float32),
    "FP64": np.array([[0.1, -1.7e308], [5e-324, 2.0]], dtype=np.float64),
    "BYTES": np.array([[b"K\xc3\xb6ln", b""], [b"x", b"yy"]], dtype=object),
}


def flat(found):
    return [item.encode() if isinstance(item, str) else item for item in np.array(found, dtype=object).flatten()]


async def infer(client, datatype, binary_in, binary_out):
    values = SAMPLES[datatype]
    given = InferInput("x", list(values.shape), datatype)
    given.set_data_from_numpy(values, binary_data=binary_in)
    request = InferRequest(f"echo-{datatype.lower()}", [given], request_id="from-kserve",
                           request_outputs=[RequestedOutput("y", parameters={"binary_data": binary_out})])
    answer = await client.infer(echoes, request, model_name=request.model_name)
    equal((answer.id, answer.model_name), ("from-kserve", f"echo-{datatype.lower()}"))
    output = answer.outputs[0]
    equal((output.name, output.datatype, list(output.shape)), ("y", datatype, [2, 2]))
    equal(flat(output.data), flat(values.tolist()))


async def refused(status, part, awaited):
    try:
        await awaited
    except httpx.HTTPStatusError as error:
        equal(error.response.status_code, status, f"status of {error}")
        assert part in str(error), f"{error} does not say {part!r}"
        return
    raise AssertionError("was not refused")


async def v2(client):
    assert await client.is_server_live(echoes) is True
    assert await client.is_server_ready(echoes) is True
    assert await client.is_model_ready(echoes, "echo-fp64") is True
    assert await client.is_model_ready(echoes, "nobody") is False


async def v1(client):
    assert await client.is_server_live(echoes) is True
    assert await client.is_model_ready(echoes, "echo-fp64") is True
    answer = await client.infer(echoes, {"instances": [[1.5, 2.0], [3.0, 4.0]]}, model_name="echo-fp64")
    equal(answer, {"predictions": [[1.5, 2.0], [3.0, 4.0]]})
    answer = await client.infer(echoes, {"inputs": {"x": [[1.5, 2.0]]}}, model_name="echo-fp64")
    equal(answer, {"outputs": [[1.5, 2.0]]})
    answer = await client.infer(echoes, {"instances": [["a", "Köln"]]}, model_name="echo-bytes")
    equal(answer, {"predictions": [["a", "Köln"]]})


async def v2_as_dict(client):
    data = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [[1.5, 2.0]]}]}
    answer = await client.infer(echoes, data, model_name="echo-fp64")
    equal(answer.outputs[0].data, [1.5, 2.0])


async def many(client):
    async def one(number):
        data = {"id": f"r-{number}", "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [number, 0.5]}]}
        answer = await client.infer(echoes, data, model_name="echo-fp64")
        equal((answer.id, answer.outputs[0].data), (f"r-{number}", [number, 0.5]))

    await asyncio.gather(*(one(number) for number in range(100)))


async def large(client):
    values = np.arange(20_000, dtype=np.float64).reshape(-1, 2)
    seen = {}
    data = {"inputs": [{"name": "x", "shape": [10_000, 2], "datatype": "FP64", "data": values.flatten().tolist()}]}
    answer = await client.infer(echoes, data, model_name="echo-fp64", response_headers=seen)
    equal(answer.outputs[0].data, values.flatten().tolist())
    # What httpx accepts by default.
    assert seen.get("content-encoding") == "gzip", seen


async def main():
    async def hold(name, run):
        try:
            await run()
            fault = None
        except Exception as error:
            fault = error

        def raise_it():
            if fault is not None:
                raise fault

        checks.hold(name, raise_it)

    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        checks.group = "v2"
        for datatype in SAMPLES:
            for binary_in in (True,) if datatype == "FP16" else (True, False):
                for binary_out in (True, False):
                    way = f"{datatype} {'binary' if binary_in else 'JSON'} in, {'binary' if binary_out else 'JSON'} out"
                    await hold(way, lambda: infer(client, datatype, binary_in, binary_out))
        await hold("health", lambda: v2(client))
        await hold("a plain request", lambda: v2_as_dict(client))
        await hold("100 at once", lambda: many(client))
        await hold("a large answer comes compressed", lambda: large(client))
        data = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [[1, "a"]]}]}
        await hold("a fault with its place", lambda: refused(400, "inputs[0].data[1]", client.infer(echoes, data, model_name="echo-fp64")))
        await hold("unknown model", lambda: refused(404, "nobody", client.infer(echoes, data, model_name="nobody")))
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        checks.group = "v1"
        await hold("predict, liveness, readiness", lambda: v1(client))
        await hold("a fault with its place", lambda: refused(400, "instances", client.infer(echoes, {"instances": 5}, model_name="echo-fp64")))
        await hold("unknown model", lambda: refused(404, "nobody", client.infer(echoes, {"instances": []}, model_name="nobody")))


asyncio.run(main())
