"""The tests of airflow-email-conn."""
