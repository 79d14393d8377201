"""The connection's form in a real browser, on a real Airflow."""
