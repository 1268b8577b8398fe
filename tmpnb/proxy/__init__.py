"""How requests reach the servers: the proxy's API, and a proxy of our own."""
