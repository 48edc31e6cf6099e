from __future__ import annotations
import gc, json, os, random, time, cProfile, pstats
from datetime import UTC, datetime
from data_workbench.api.services import lineage as service
from data_workbench.lineage.graph import Graph
from data_workbench.metastore.lineage_facts import Name
from data_workbench.metastore.lineage_reading import JobRow, Snapshot, revision


def world(kind):
    r = random.Random(5)
    N = 10_000
    names = {f"d{n}": Name("postgres://db:5432", f"db.public.t{n}") for n in range(N)}
    jobs, roles = [], []

    def job(ins, outs):
        n = len(jobs)
        jobs.append(JobRow(f"j{n}", Name("spark", f"job{n}"), None))
        roles.extend((f"j{n}", f"d{i}", False, False) for i in ins)
        roles.extend((f"j{n}", f"d{o}", True, False) for o in outs)

    if kind == "A":
        for n in range(5000):
            job({r.randrange(max(1, 2 * n - 1000), max(2, 2 * n)) for _ in range(5)}, [2 * n, 2 * n + 1])
    elif kind == "B":
        for _ in range(50_000):
            a = r.randrange(N - 1)
            job([a], [r.randrange(a + 1, N)])
    elif kind == "C":
        for n in range(1, N):
            job({r.randrange(n) for _ in range(5)}, [n])
    elif kind == "D":  # cyclic, uniform
        for _ in range(50_000):
            job([r.randrange(N)], [r.randrange(N)])
    return Graph(Snapshot(1, datetime.now(UTC), None, jobs, names, roles, []))


def test_it(store, postgres, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WORKBENCH_METASTORE", postgres.dsn)
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from data_workbench.api.routes import lineage as routes

    app = FastAPI()
    app.include_router(routes.router(), prefix="/data")
    with TestClient(app) as caller:
        for kind in "ABCD":
            g = world(kind)
            gc.collect()
            gc.freeze()
            monkeypatch.setattr(service._graphs, "at", lambda s, m=None: (revision(s), g)[1])
            r = random.Random(3)
            asked = [r.randrange(10000) for _ in range(100)]
            for what in ("reach", "service", "rest"):
                times = []
                most = 0
                for one in asked:
                    t = time.perf_counter()
                    if what == "reach":
                        most = max(most, len(g.reach([one], "downstream").datasets))
                    elif what == "service":
                        service.traced(f"postgres://db:5432/db.public.t{one}", "downstream", depth=None, as_of=None)
                    else:
                        a = caller.get(
                            "/data/lineage/impact", params={"dataset": f"postgres://db:5432/db.public.t{one}"}
                        )
                        assert a.status_code == 200, a.text
                        most = max(most, len(a.content))
                    times.append(time.perf_counter() - t)
                times.sort()
                print(
                    kind,
                    what,
                    "p50 %.3f p95 %.3f max %.3f" % (times[50], times[95], times[-1]),
                    most,
                    "load",
                    os.getloadavg()[0],
                    flush=True,
                )
            p = cProfile.Profile()
            p.enable()
            for one in asked[:20]:
                service.traced(f"postgres://db:5432/db.public.t{one}", "downstream", depth=None, as_of=None)
            p.disable()
            pstats.Stats(p).sort_stats("tottime").print_stats(12)
