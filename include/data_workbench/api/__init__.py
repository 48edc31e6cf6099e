"""What the workbench serves inside Airflow's own web server, under `/data`: JSON for programs, pages for people.

Nothing but `/data/health` answers an anonymous caller. Read `app.py` first. `routes` know URLs, rights and status
codes, `datamodels` the shapes, `services` the work, `pages` the HTML (made on the server, no outside host).
"""
