"""Airflow triggers: waiting in the triggerer, without a worker."""
