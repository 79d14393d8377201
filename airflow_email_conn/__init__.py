"""One Airflow connection for a whole mailbox: see README.md for the tour."""
