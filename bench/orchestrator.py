"""Runs chains and fan-outs of tasks that do nothing, one for each line `SHAPE COUNT` of its input.

Called by bench/orchestrators.ts with the name of the library; answers lines of JSON: first the version, then
how many ms each execution took from its start to its end.
"""

import json
import os
import sys
import time


def with_prefect():
    import logging

    import prefect
    from prefect import flow, task

    logging.getLogger("prefect").setLevel(logging.ERROR)

    @task
    def nothing(value):
        return value

    @flow
    def chain(count):
        value = 0
        for _ in range(count):
            value = nothing(value)
        return value

    @flow
    def fan(count):
        return nothing.map(list(range(count))).result()

    return prefect.__version__, {"chain": chain, "fan": fan}


def with_dagster():
    import dagster
    from dagster import DagsterInstance, DynamicOut, DynamicOutput, job, op

    instance = DagsterInstance.get()
    config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

    @op
    def first():
        return 0

    @op
    def nothing(value):
        return value

    def chain(count):
        @job(name=f"chain_{count}", config=config)
        def steps():
            value = first()
            for i in range(1, count):
                value = nothing.alias(f"s{i}")(value)

        return lambda: steps.execute_in_process(instance=instance)

    def fan(count):
        @op(out=DynamicOut())
        def items():
            for i in range(count):
                yield DynamicOutput(i, mapping_key=str(i))

        @job(name=f"fan_{count}", config=config)
        def steps():
            items().map(nothing)

        return lambda: steps.execute_in_process(instance=instance)

    made = {}

    def run(shape, make):
        def call(count):
            if (shape, count) not in made:
                made[shape, count] = make(count)
            return made[shape, count]()

        return call

    return dagster.__version__, {"chain": run("chain", chain), "fan": run("fan", fan)}


def main():
    # What libraries print goes elsewhere than the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    version, shapes = {"prefect": with_prefect, "dagster": with_dagster}[sys.argv[1]]()
    answer({"version": version})
    for line in sys.stdin:
        shape, count = line.split()
        began = time.perf_counter()
        shapes[shape](int(count))
        answer({"ms": (time.perf_counter() - began) * 1000})


main()
