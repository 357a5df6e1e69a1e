"""Put the agent on a host: build its bundle, look at the host, send what is missing, start it."""
