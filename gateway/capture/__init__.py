"""Calls out of network captures: what tcpdump or sngrep saved becomes a call folder."""
