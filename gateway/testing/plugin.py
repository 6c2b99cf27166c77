"""pytest fixtures for people who test their own dialplans and recorded calls."""
