"""Pages under Airflow's Browse menu, in an iframe: HTML made on the server, no outside host.

`rendering.py` has the environment all pages share; one module a page; `templates/` their HTML. Pages that change
something have one script, `forms.js`, which sends their forms as JSON; the drawing of lineage has `lineage.js`; the
others have none.
"""
