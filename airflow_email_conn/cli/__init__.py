"""`airflow email-conn`: sign in, see how connections are, test them, and find who uses them."""
