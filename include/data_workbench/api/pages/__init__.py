"""Pages under Airflow's Browse menu, in an iframe: HTML made on the server, no script, no outside host.

`rendering.py` has the environment all pages share; one module a page; `templates/` their HTML.
"""
