"""Operators: a task of Airflow is a stage of the engine (`pipeline.py`) or a housekeeping job (`housekeeping.py`)."""
