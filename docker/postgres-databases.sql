-- Run once, when the volume is empty: the server's own database is `odras`.
CREATE DATABASE airflow;
CREATE DATABASE workbench;
