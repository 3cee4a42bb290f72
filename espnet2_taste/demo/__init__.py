"""A page and an HTTP API for a packed model: tokenize, edit, speak, continue, say."""
