"""The Airflow parts, run in Airflow."""
