"""Access tokens by OAuth 2.0, for an application and for a person."""
