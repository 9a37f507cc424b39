"""Wire formats of model APIs: from a conversation to a request, from a stream to a turn."""
