"""The operators by their public names."""

from airflow_email_conn.operators.fetch import FetchEmailOperator
from airflow_email_conn.operators.send import SendEmailOperator
from airflow_email_conn.operators.sign_in import EmailSignInOperator
from airflow_email_conn.operators.update import UpdateEmailOperator

__all__ = ["EmailSignInOperator", "FetchEmailOperator", "SendEmailOperator", "UpdateEmailOperator"]
