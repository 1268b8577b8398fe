"""What tests share: worlds, stand-ins, requests and engines."""
