"""What Microsoft Graph is asked and answers, without I/O."""
