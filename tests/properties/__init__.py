"""What holds whatever happens, tried with many inputs."""
